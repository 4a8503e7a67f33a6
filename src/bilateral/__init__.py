"""Deep learning with two specialised hemispheres."""

from typing import TYPE_CHECKING, Any

from .base.openmp import wait_asleep

if TYPE_CHECKING:
    from .training.checkpoint import load

__all__ = ["__version__", "load"]
__version__ = "0.1.0"

wait_asleep()  # before anything loads torch


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, so `load` brings it only when it is asked for.
    if name == "load":
        from .training.checkpoint import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
