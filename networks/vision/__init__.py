"""From pictures to classes."""
