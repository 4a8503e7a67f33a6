"""The published experiment: its rows, what is measured of them, how they compare, its tables."""
