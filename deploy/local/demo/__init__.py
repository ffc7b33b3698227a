"""``make demo``: payments moves to its service and back under live traffic, and the end state is proved."""
