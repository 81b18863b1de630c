"""Fitted networks in, media out, without a Trainer: for notebooks and web pages too."""
