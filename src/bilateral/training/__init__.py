"""Training and evaluation of one network: objective, optimisation, loop, checkpoints."""
