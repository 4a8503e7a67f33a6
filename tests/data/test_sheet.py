"""The sheet of examples."""

import numpy as np
import pytest
import torch
from PIL import Image

from bilateral.base.errors import OutputError
from bilateral.data.hierarchy import LabelHierarchy
from bilateral.data.images import HierarchicalDataset, HierarchicalImages
from bilateral.data.sheet import write_sheet


def dataset(names: tuple[str, ...], size: tuple[int, int], per_class: int = 2) -> HierarchicalDataset:
    """Classes of every other coarse label; the images of a class have its number as their value."""
    fine = torch.arange(len(names)).repeat(per_class)
    images = HierarchicalImages((20 * fine).byte().view(-1, 1, 1, 1).expand(-1, 3, *size).clone(), fine, fine % 2)
    hierarchy = LabelHierarchy(names, ("x", "y"), tuple(number % 2 for number in range(len(names))))
    return HierarchicalDataset("set", hierarchy, images, images, (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (200, 200)])
def test_classes_stand_by_coarse_label_with_their_images(tmp_path, size):
    write_sheet(dataset(tuple("abcdefgh"), size), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    middle = pixels[34 + 20 + 32, [16 + 32, 16 + 68 + 32, 304 + 32, 592 + 32], 0]
    assert middle.tolist() == [0, 0, 40, 80]  # a twice, c, e; b is of the other coarse label
    below = pixels[34 + 88 + 20 + 32, 16 + 32, 0]
    assert below == 120  # g, the fourth of its group
    assert pixels[34 + 2 * 88 + 34 + 20 + 32, 16 + 32, 0] == 20  # b heads the second group
    assert (pixels[:, :15] == 255).all() and (pixels[:, -16:] == 255).all()


def test_long_and_strange_names_stay_in_their_cells(tmp_path):
    names = ("a" * 400, "\x1b[31m\n", "猫" * 40, "é" * 90, "b" * 90, "<b>")
    write_sheet(dataset(names, (16, 8)), tmp_path / "sheet.png")
    pixels = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert (pixels[:, 288:304] == 255).all() and (pixels[:, -16:] == 255).all()


def test_many_classes(tmp_path):
    write_sheet(dataset(tuple(map(str, range(1000))), (1, 1)), tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").height < 100 * 88 + 3 * 34 + 100


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_sheet(dataset(("a", "b"), (8, 8)), tmp_path / "file" / "sheet.png")
