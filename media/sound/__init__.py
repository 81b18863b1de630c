"""Sound: files, spectrogram and its inverse, loudness, grain, ambience, single events."""
