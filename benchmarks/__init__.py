"""`python -m benchmarks`: measures speed and memory, each beside a baseline that is written out here."""
