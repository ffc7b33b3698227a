"""What the source says, read without importing it. Nothing here imports Django: the files are read in several processes."""
