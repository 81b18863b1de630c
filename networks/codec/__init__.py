"""Spectrograms to codes and back."""
