"""What lies below the data modules: the data root, its split, decoded sounds, recordings, loading."""
