"""Fitted networks in, media out, without a Trainer: what a notebook or a web page calls."""
