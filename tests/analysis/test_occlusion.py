from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import Occlusion
from scipy.stats import spearmanr
from torch import nn

from bilateral.analysis import occlusion
from bilateral.analysis.occlusion import logit_falls, spearman, windows, windows_of

from . import handmade


def make_study(network, size=16):
    images = handmade.make_images(4, 1, size)
    return handmade.study({0: {}}, {0: network}, images=images)


def test_windows_cover_the_image_evenly():
    found = list(windows((32, 32)))
    assert len(found) == 49 and found[0] == (slice(0, 8), slice(0, 8)) and found[-1] == (slice(24, 32), slice(24, 32))
    assert found[1] == (slice(0, 8), slice(4, 12)) and found[7] == (slice(4, 12), slice(0, 8))
    assert len(list(windows((2, 3)))) == 6


def test_means_in_windows():
    maps = torch.rand(3, 32, 32)
    found = windows_of(maps)
    assert found.shape == (3, 49)
    torch.testing.assert_close(found[:, 8], maps[:, 4:12, 4:12].mean((1, 2)))


def test_ranks_are_correlated_as_by_scipy():
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 5, (6, 20)), generator.normal(size=(6, 20))
    second[0] = first[0]
    found = spearman(torch.tensor(first).float(), torch.tensor(second))
    expected = [spearmanr(one, other).statistic for one, other in zip(first, second)]
    assert found.tolist() == pytest.approx(expected) and found[0] == pytest.approx(1)
    assert spearman(torch.ones(1, 4), torch.tensor([[1.0, 2, 3, 4]])).isnan().all()


def test_the_corner_that_a_hemisphere_sees_has_the_largest_fall():
    study = make_study(handmade.corner_network())
    (system,) = study.systems
    falls = logit_falls(system, 1 + torch.rand(5, 3, 16, 16))
    places = list(windows((16, 16)))
    assert set(falls) == {(level, side) for level in ("fine", "coarse") for side in ("left", "right")}
    for (_, side), values in falls.items():
        sees = [(rows.start < 8 and columns.start < 8, rows.stop > 8 and columns.stop > 8) for rows, columns in places]
        seen = torch.tensor([pair[0] if side == "left" else pair[1] for pair in sees])
        assert values.shape == (5, len(places))
        assert (values[:, ~seen].abs() < 1e-5).all()
        whole = [
            index
            for index, (rows, columns) in enumerate(places)
            if (rows.stop <= 8 and columns.stop <= 8) or (rows.start >= 8 and columns.start >= 8)
        ]
        whole = [index for index in whole if seen[index]]
        assert (values[:, whole].min(1).values > 0.05).all()
        assert all(index in whole for index in values.argmax(1).tolist())


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("level", ["fine", "coarse"])
def test_falls_are_captums_where_one_hemisphere_sees_the_window(side, level, monkeypatch):
    monkeypatch.setattr(occlusion, "native_precision", lambda system: nullcontext())
    network = handmade.network()
    study = make_study(network)
    (system,) = study.systems
    images = system.normalise(study.images.images[:6])
    clean = network.features(images)
    best = network(images).logits[level].argmax(1)
    falls = logit_falls(system, images)[level, side]

    def head(covered):
        return network.classify({**clean, side: network.hemispheres[side](covered)}).logits[level]

    attributed = Occlusion(head).attribute(
        images, target=best, sliding_window_shapes=(3, 4, 4), strides=(3, 2, 2), baselines=0
    )
    # Captum adds up, at each place, the falls of all windows that cover it, over their number.
    total, count = torch.zeros(6, 16, 16), torch.zeros(16, 16)
    for index, (rows, columns) in enumerate(windows((16, 16))):
        total[:, rows, columns] += falls[:, index, None, None]
        count[rows, columns] += 1
    torch.testing.assert_close(total / count, attributed[:, 0], atol=1e-5, rtol=1e-3)


class Bright(nn.Module):
    """Maps of brightness above grey, of which the mean is heard."""

    stages = ("maps", "pool")
    num_features = 3

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.AvgPool2d(2), nn.ReLU())
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, images):
        return self.pool(self.maps(images))


def test_the_table_correlates_falls_with_the_maps_of_the_same_place():
    network = handmade.network()
    for side in ("left", "right"):
        network.hemispheres[side] = Bright()
    for head in ("fine", "coarse"):
        network.heads[head] = nn.Linear(6, handmade.COUNTS[head])
        nn.init.constant_(network.heads[head].weight, 1.0)
    # Each image is bright in one row, and so are the maps: a window there takes most.
    table = occlusion.compute(make_study(network, 32))
    assert len(table) == 4 and (table["images"] == 24).all()
    assert (table["correlation"] > 0.8).all() and (table["correlation_other"] < table["correlation"] - 0.2).all()
    text = occlusion.tell(table)
    assert "nan" not in text and f"coarse head, right {table['correlation'].iloc[3]:.2f}" in text


def test_images_without_a_map_are_left_out_and_none_left_is_told():
    network = handmade.network()
    for head in network.heads.values():
        head[1].weight[:, 32:] = 0  # nothing comes from right
    table = occlusion.compute(make_study(network, 32))
    right = table[table["side"] == "right"]
    assert (right["images"] == 0).all()
    assert "nan" not in occlusion.tell(table) and "fine head, left" in occlusion.tell(table)
    assert "nan" not in occlusion.tell(right)
    occlusion.draw(table)


def test_at_most_200_images_at_even_distances(monkeypatch):
    monkeypatch.setattr(occlusion, "IMAGES", 5)
    study = make_study(handmade.network(), 32)
    assert occlusion.compute(study)["images"].max() <= 5


@pytest.mark.parametrize(
    ("own", "begin"),
    [
        ([0.5, 0.52, 0.5], "Covering parts of an image confirms its Grad-CAM map: their rank correlation is 0.51, "),
        ([0.5, 0.0, 0.4], "Covering parts of an image is not shown to confirm its Grad-CAM map: "),
        ([0.1, 0.11, 0.1], "Covering parts of an image does not confirm its Grad-CAM map: "),
        ([0.5], "Covering parts of an image confirms, in this one seed, its Grad-CAM map: "),
        ([0.1], "Covering parts of an image does not confirm its Grad-CAM map: "),
    ],
)
def test_maps_are_confirmed_only_if_that_is_shown_over_seeds(own, begin):
    lines = [(seed, "fine", side, value, 0.2) for seed, value in enumerate(own) for side in ("left", "right")]
    columns = ["seed", "level", "side", "correlation", "correlation_other"]
    text = occlusion.tell(pd.DataFrame(lines, columns=columns))
    above = f"The first is {sum(own) / len(own) - 0.2:+.2f} ({'n = 3, 95' if len(own) > 1 else 'one seed)'}"
    assert text.startswith(begin) and "with another image's map 0.20." in text and above in text
