"""From spectrograms to codes and back."""
