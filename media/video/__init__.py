"""Pictures that move, and photos: files, activity, stabilisation, scenes."""
