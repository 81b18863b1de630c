"""Comparison of generated with real sounds: jobs, rows, stored sounds, figures and tables."""
