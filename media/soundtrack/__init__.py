"""From generated sound to a video with a soundtrack: arranging, mixing, streams, muxing."""
