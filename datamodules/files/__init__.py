"""Parts of the data modules: the data root, its groups and split, decoded sounds, recordings, loading."""
