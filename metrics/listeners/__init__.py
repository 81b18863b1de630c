"""Models that turn sounds into embeddings and class scores."""
