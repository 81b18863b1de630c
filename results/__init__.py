"""Lists the files that the results are made on, lays them out from downloads, and draws pictures."""
