"""Everything that a run needs, whatever it trains: checkpoints, resuming, precision, memory, the machine."""
