"""Networks of one, two or several hemispheres under a fine and a coarse head."""
