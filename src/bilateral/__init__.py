"""Deep learning with two specialised hemispheres.

The public face: `train`, `experiment` and `sweep` do what the commands of the same names do, `load` opens a trained
network, `open_study` finished runs for analyses. docs/python.md has examples.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .base.openmp import wait_asleep

if TYPE_CHECKING:
    from .analysis.opening import open_study
    from .experiments.run import experiment
    from .runs.train import train
    from .sweeps.run import sweep
    from .training.checkpoint import load

__all__ = ["__version__", "experiment", "load", "open_study", "sweep", "train"]
__version__ = "0.1.0"

_HOMES = {
    "experiment": "experiments.run",
    "load": "training.checkpoint",
    "open_study": "analysis.opening",
    "sweep": "sweeps.run",
    "train": "runs.train",
}

wait_asleep()  # before anything loads torch


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, so each function brings it only when it is asked for.
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
