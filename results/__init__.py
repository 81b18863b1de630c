"""Around the results: the list of the files they are made on, those files laid out from downloads, and pictures."""
