"""Deep learning with two specialised hemispheres."""
