"""What any run needs, whatever it trains: checkpoints, resuming, precision, memory, the machine."""
