"""Hierarchical image data sets: images with a fine and a coarse label each. `sources.load` opens any of them."""
