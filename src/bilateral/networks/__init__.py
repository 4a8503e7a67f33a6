"""Trained networks that come with the package, each a folder as `bilateral export` writes it, with a card of its own.

`shapes-small` knows the quickstart's drawn shapes, `cifar100-small` the photographs of CIFAR-100. A folder in such a
folder is a companion: `cifar100-small/left` is the left hemisphere that `cifar100-small` was made of,
`cifar100-small/two_left` a network to compare it with.
"""

from pathlib import Path

_HERE = Path(__file__).parent
WEIGHTS = "model.safetensors"
"""The file with a network's weights in a folder that was exported."""


def names() -> list[str]:
    """Give the names of the networks, companions among them.

    >>> names()[0]
    'cifar100-small'
    """
    return sorted(file.parent.relative_to(_HERE).as_posix() for file in _HERE.rglob(WEIGHTS))


def find(path: Path) -> Path | None:
    """Give the folder of a network that was exported: `path`, or the one of this name here; None for all else."""
    if not path.exists():
        return _HERE / path if path.as_posix() in names() else None
    return path if (path / WEIGHTS).is_file() else None


def companions(folder: Path) -> dict[str, Path]:
    """Give the exported networks that lie in the folder of another one, by their names."""
    return {file.parent.name: file.parent for file in sorted(folder.glob(f"*/{WEIGHTS}"))}
