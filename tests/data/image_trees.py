"""Folders of images for the tests: one class hierarchy in the two layouts that are read."""

import shutil
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from bilateral.data.config import DataConfig
from bilateral.data.images import HierarchicalDataset
from bilateral.data.sources import load

FAMILIES = {"fish": ["shark", "trout"], "trees": ["oak"], "flowers": ["rose", "tulip"]}
PER_CLASS = 5


def write_image(path: Path, seed: int, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def write_nested(folder: Path, first_seed: int = 0) -> None:
    seed = first_seed
    for coarse, members in FAMILIES.items():
        for fine in members:
            for _ in range(PER_CLASS):
                write_image(folder / coarse / fine / f"{seed}.png", seed)
                seed += 1


def write_documented(folder: Path, first_seed: int = 0, coarse_tree: bool = True) -> None:
    """The same images as nested, with label ids: coarse 0 to 2; fine 0 to 10 in steps that text order would mix up."""
    seed = first_seed
    for coarse, members in enumerate(FAMILIES.values()):
        for fine in members:
            for _ in range(PER_CLASS):
                write_image(folder / "fine" / FINE_IDS[fine] / f"{seed}.png", seed)
                if coarse_tree:
                    write_image(folder / "coarse" / str(coarse) / f"{seed}.png", seed)
                seed += 1


def write_flat(folder: Path, first_seed: int = 0) -> None:
    """The same images as nested, without coarse labels."""
    write_nested(folder, first_seed)
    for coarse in FAMILIES:
        for fine in (folder / coarse).iterdir():
            fine.rename(folder / fine.name)
        (folder / coarse).rmdir()


FINE_IDS = {"shark": "0", "trout": "1", "oak": "2", "rose": "9", "tulip": "10"}


def open_folders(**settings) -> HierarchicalDataset:
    return load(DataConfig(name="folders", **settings))


def state_hierarchy(root: Path, **changes) -> None:
    stated = {
        "name": "garden",
        "coarse_names": ["animal", "plant"],
        "fine_names": ["shark", "trout", "oak", "rose", "tulip"],
        "coarse_of_fine": [0, 0, 1, 1, 1],
    }
    (root / "hierarchy.yaml").write_text(yaml.safe_dump(stated | changes))


def rename_to_ids(split: Path) -> None:
    """Make fine ids 0 to 4, and drop the coarse tree."""
    (split / "fine" / "9").rename(split / "fine" / "3")
    (split / "fine" / "10").rename(split / "fine" / "4")
    shutil.rmtree(split / "coarse")
