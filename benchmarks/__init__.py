"""`python -m benchmarks`: how fast and how small everything is, each figure against a baseline written for it here."""
