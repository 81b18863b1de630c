"""The causal transformer over codes, and its sampling."""
