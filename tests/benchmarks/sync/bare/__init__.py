"""An app with the same table that nobody captures, to compare with."""
