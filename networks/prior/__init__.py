"""Which codes follow which: the causal transformer and how it is sampled."""
