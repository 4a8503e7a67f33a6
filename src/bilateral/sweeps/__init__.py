"""Sweeps: one row of the experiment with many settings of the config, from a grid or drawn at random."""
