"""Analyses: from finished runs and their test images to tables and figures, without training. One file each."""
