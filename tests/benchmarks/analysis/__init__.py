"""What `make bench-analysis` stands on: generated code bases, the peers, and the child that is timed."""
