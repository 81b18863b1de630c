"""Models that hear: sounds to embeddings and to scores of classes."""
