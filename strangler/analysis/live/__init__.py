"""What Django's registries and the database's catalogue say."""
