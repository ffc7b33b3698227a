"""Raw messages with their expected outcome, by section of RFC 9110 and 9112; see ``README.md`` here."""
