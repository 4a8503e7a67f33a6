"""How long PyTorch's threads on the CPU spin while they wait for each other.

On Linux these are threads of GNU's OpenMP library, which by default spin for some milliseconds. Beside another busy
process the thread that all wait for may not be running, and those that spin keep it from its core: training takes
several times as long. The library reads its settings once, when PyTorch loads it.
"""

import os

SPINS = 2000
"""Turns that a thread waits awake, before it sleeps (docs/performance.md)."""
DEFAULT_SPINS = 300_000
"""What the library itself takes."""
_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def wait_asleep() -> None:
    """Have threads that wait sleep soon, in this process if PyTorch is not loaded yet, and in those that it starts.

    What the user has set stays.
    """
    if not any(name in os.environ for name in _SETTINGS):
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
