"""What is told of a network and its images before anything is trained."""

import warnings

import pytest

from bilateral.data.hierarchy import LabelHierarchy
from bilateral.data.images import HierarchicalDataset
from bilateral.runs.checks import check_network
from bilateral.runs.config import read_config
from bilateral.runs.execution import resolve
from bilateral.runs.plan import Run
from conftest import COARSE_OF_FINE, make_images


def check(size: int) -> list[str]:
    hierarchy = LabelHierarchy(tuple("abcdef"), ("x", "y", "z"), COARSE_OF_FINE)
    images = make_images(2, 0, size)
    dataset = HierarchicalDataset("set", hierarchy, images, images, (0.2,) * 3, (0.2,) * 3)
    sides = {side: {"width": 0.0625} for side in ("left", "right")}
    run = resolve(Run(read_config({"model": sides, "training": {"device": "cpu"}}), 0))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        check_network(run, dataset)
    return [str(each.message) for each in told]


@pytest.mark.parametrize(("size", "times"), [(16, None), (32, None), (64, 4), (224, 49)])
def test_a_training_on_the_cpu_says_what_large_images_cost(size, times):
    told = check(size)
    if times is None:
        assert not told
    else:
        (sentence,) = told
        assert sentence.startswith(f"images of {size}x{size} pixels: training and memory cost about {times} times")
        assert "data.image_size=N" in sentence
