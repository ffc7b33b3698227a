"""What of a retired context can be deleted from the monolith, and the migration that drops its tables."""
