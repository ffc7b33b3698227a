"""What couples the contexts of a monolith. So far its running part: who really reads and writes whose tables (``usage``)."""
