"""Real and generated sounds side by side: jobs, rows, kept sounds, figures, tables."""
