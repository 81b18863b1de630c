"""Files of a data root and files that a user names: listing, reading, splitting, loading."""
