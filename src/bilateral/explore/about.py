"""What the page says of the network that it asks."""

from pathlib import Path
from typing import Any

from .. import networks
from ..data.shapes import HIERARCHY as SHAPES
from ..training import checkpoint
from ..training.checkpoint import Description
from .answering import Explorer


def describe(explorer: Explorer, path: Path, name: str = "") -> dict[str, Any]:
    """Name the run that the checkpoint at `path` belongs to, its architecture and labels, and what can be asked.

    name: what the network is called, if it is not its run.
    """
    description = explorer.description
    return {
        "title": f"{name or run_name(path)}: {_labels(description)}",
        "run": run_name(path),
        "architecture": _architecture(description),
        "levels": explorer.levels,
        "silenceable": [{"name": name, "kind": kind} for name, kind in explorer.silenceable.items()],
        "has_maps": explorer.has_maps,
        "image_size": explorer.image_size,
        "counts": {"fine": description.fine_count, "coarse": description.coarse_count},
        "kinds": _kinds(description),
    }


def run_name(path: Path) -> str:
    """The name of the run's folder, of an exported network's, or of a checkpoint file that stands alone."""
    if networks.find(path) is not None:
        return path.as_posix()
    file = checkpoint.find(path).resolve()
    return file.parent.parent.name if file.parent.name == "checkpoints" else file.name


def _labels(description: Description) -> str:
    """How many labels there are of each level: for the embedded shapes, in their words."""
    fine, coarse = description.fine_count, description.coarse_count
    if description.hierarchy == SHAPES:
        return f"{fine} kinds of {coarse} shapes"
    return f"{fine} fine and {coarse} coarse labels"


def _architecture(description: Description) -> str:
    backbones = {}
    for side, hemisphere in description.model.hemispheres.items():
        width = f" at width {hemisphere.width:g}" if hemisphere.width != 1 else ""
        backbones[side] = f"{hemisphere.arch}{width}"
    if len(backbones) == 2 and len(set(backbones.values())) == 1:
        backbones = {"left and right": backbones["left"]}
    additions = description.model.additions
    named = ", ".join(f"{side} {name}" for side, name in backbones.items())
    return f"{description.model.mode_hemis}, {named}{', with ' if additions else ''}{', '.join(additions)}"


def _kinds(description: Description) -> list[dict[str, Any]] | None:
    """Each coarse label with its fine ones; None where the checkpoint does not name them."""
    hierarchy = description.hierarchy
    if hierarchy is None:
        return None
    classes = list(zip(hierarchy.fine_names, hierarchy.coarse_of_fine))
    return [
        {"coarse": name, "fine": [fine for fine, own in classes if own == coarse]}
        for coarse, name in enumerate(hierarchy.coarse_names)
    ]
