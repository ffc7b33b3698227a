"""Coverage-guided fuzzing of what reads from outside: `make fuzz`. Every test run holds the corpus to its properties."""
