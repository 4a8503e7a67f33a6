"""Which frequencies a head needs: of networks that hear one pixel pattern each, and of tables made by hand."""

import math

import pandas as pd
import pytest
import torch
from torch import nn

from bilateral.analysis import frequencies
from bilateral.analysis.frequencies import half_cutoffs, tell
from bilateral.analysis.study import NotApplicableError
from bilateral.data.images import HierarchicalImages
from bilateral.models.network import Network
from conftest import COARSE_OF_FINE

from . import handmade

LOW, HIGH = 2.0, 6.0
"""Cycles per image."""


def gratings(count: int = 60) -> HierarchicalImages:
    """The fine label shows in a grating of 6 cycles or its absence, the coarse one in one of 2 cycles; with noise."""
    fine = torch.arange(6).repeat(count // 6)
    coarse = torch.tensor(COARSE_OF_FINE)[fine]
    place = (torch.arange(16) + 0.5) / 16
    slow, fast = (torch.cos(2 * math.pi * cycles * place) for cycles in (LOW, HIGH))
    strengths = torch.stack([coarse - 1, fine % 2]).float()
    wave = 40 * strengths[0, :, None] * slow + 40 * strengths[1, :, None] * fast
    noise = torch.randn(len(fine), 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = (120 + wave[:, None, None, :] + 2 * noise).clamp(0, 255).round().to(torch.uint8)
    return HierarchicalImages(images, fine, coarse)


class Tuned(nn.Module):
    """A hemisphere that hears the strength of one horizontal grating."""

    num_features = 1

    def __init__(self, cycles: float) -> None:
        super().__init__()
        place = (torch.arange(16) + 0.5) / 16
        self.register_buffer("wave", torch.cos(2 * math.pi * cycles * place) / 8)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.scale * (images.mean((1, 2)) @ self.wave)[:, None]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Left hears the high frequency, right the low one; the coarse head reads right, the fine one both."""
    images = gratings()
    network = Network(
        {"left": Tuned(HIGH), "right": Tuned(LOW)}, {"fine": nn.Linear(2, 6), "coarse": nn.Linear(2, 3)}
    ).eval()
    strength = 40 / 255 / 0.2  # of the gratings, as the network hears them
    coarse = torch.tensor([-1.0, 0.0, 1.0])
    with torch.no_grad():
        for head, detail in ((network.heads["coarse"], torch.zeros(3)), (network.heads["fine"], None)):
            slow = coarse if detail is not None else coarse[torch.tensor(COARSE_OF_FINE)]
            fast = detail if detail is not None else torch.tensor([0.0, 1.0]).repeat(3)
            weight = torch.stack([fast, slow], 1)
            head.weight.copy_(weight / strength)
            head.bias.copy_(-weight.square().sum(1) / 2)  # the nearest class by distance
    network.requires_grad_(False)
    study = handmade.study({0: {}, 1: {}}, dict.fromkeys((0, 1), network), images=images)
    made = frequencies.compute(study)
    assert not network.training
    return made


def accuracy(table, level, passing, cutoff, silenced):
    own = table[(table["level"] == level) & (table["filter"] == passing) & (table["silenced"] == silenced)]
    own = own if cutoff is None else own[own["cutoff"] == cutoff]
    assert len(own) == 2
    return own["accuracy_pct"].mean()


def test_every_filter_is_tried_on_all_and_on_each_side_silenced(table):
    assert len(table) == 2 * (1 + 2 * 7) * 2 * 3
    assert sorted(table["cutoff"].dropna().unique()) == [1, 1.5, 2, 3, 4, 6, 8]
    assert (table["images"] == 60).all()
    assert table.groupby("level")["chance_pct"].first().round(1).to_dict() == {"coarse": 33.3, "fine": 16.7}


def test_heads_lose_what_their_frequencies_carry(table):
    assert accuracy(table, "fine", "none", None, "none") == accuracy(table, "coarse", "none", None, "none") == 100
    assert accuracy(table, "coarse", "low-pass", 2, "none") == 100
    assert accuracy(table, "coarse", "high-pass", 2, "none") < 40
    assert accuracy(table, "fine", "low-pass", 2, "none") < 60
    assert accuracy(table, "fine", "high-pass", 2, "none") < 40
    assert accuracy(table, "fine", "none", None, "left") < 60
    assert accuracy(table, "coarse", "none", None, "left") == 100
    assert accuracy(table, "coarse", "none", None, "right") < 40


def test_the_cutoff_lies_where_the_grating_is(table):
    """The heads decide at half of a grating's amplitude, a quarter of its power."""
    for level, passing, between in (
        ("coarse", "high-pass", (1, 1.5)),
        ("coarse", "low-pass", (1, 1.5)),
        ("fine", "high-pass", (1, 1.5)),
        ("fine", "low-pass", (4, 6)),
    ):
        found = half_cutoffs(table, level, passing)
        assert len(found) == 2 and found.between(*between).all()
    assert half_cutoffs(table, "coarse", "low-pass", "right").isna().all()


def made(accuracies: dict[str, list[float]], chance: float = 10.0) -> pd.DataFrame:
    """One seed's accuracies of the fine head with no filter, then at 1, 2, 4 and 8 cycles."""
    lines = []
    for passing, (whole, *filtered) in accuracies.items():
        for silenced in ("none", "left", "right"):
            lines.append((0, "none", math.nan, "fine", silenced, 9, chance, whole))
            for cutoff, value in zip((1.0, 2.0, 4.0, 8.0), filtered):
                lines.append((0, passing, cutoff, "fine", silenced, 9, chance, value))
    columns = ["seed", "filter", "cutoff", "level", "silenced", "images", "chance_pct", "accuracy_pct"]
    return pd.DataFrame(lines, columns=columns)


@pytest.mark.parametrize(
    ("passing", "accuracies", "expected"),
    [
        ("low-pass", [90, 10, 30, 70, 90], 4 / math.sqrt(2)),  # 50 % is half way between 2 and 4 cycles
        ("high-pass", [90, 90, 70, 30, 10], 2 * math.sqrt(2)),
        ("low-pass", [90, 50, 60, 70, 90], 1.0),
        ("low-pass", [90, 60, 70, 80, 90], None),
        ("high-pass", [90, 30, 20, 10, 10], None),
        ("high-pass", [10, 10, 10, 10, 10], None),
    ],
)
def test_half_of_what_is_above_chance(passing, accuracies, expected):
    found = half_cutoffs(made({passing: accuracies}), "fine", passing)[0]
    assert math.isnan(found) if expected is None else found == pytest.approx(expected)


def test_the_sentence_has_both_filters_and_the_difference_between_the_sides(table):
    text = tell(table)
    assert "fine head, low-pass: " in text and "without right –" in text.partition("coarse head, low-pass: ")[2]
    table = made({"low-pass": [90, 10, 30, 70, 90], "high-pass": [90, 90, 70, 30, 10]})
    table = table.drop_duplicates(["filter", "cutoff", "silenced"])
    assert "low-pass: 2.8, without left 2.8, without right 2.8, the former less the latter +0.0 (one seed)" in tell(
        table
    )


def test_where_no_head_knows_anything_no_dashes_are_listed():
    text = tell(made({"low-pass": [10, 10, 10, 10, 10], "high-pass": [10, 10, 10, 10, 10]}))
    assert text == "There is no cut-off at which half of a head's accuracy above chance is left."


def test_the_figure(table):
    figure = frequencies.draw(table)
    assert [axes.get_title() for axes in figure.axes] == [
        f"{level} head, {passing}" for level in ("fine", "coarse") for passing in ("low-pass", "high-pass")
    ]
    low = figure.axes[0].get_lines()[0]
    assert low.get_ydata()[-1] == 100 and len(low.get_ydata()) == 8


def test_images_without_frequencies_or_with_one_label_are_told():
    images = handmade.make_images(2, 1)
    tiny = HierarchicalImages(images.images[:, :, :1, :1], images.fine, images.coarse)
    network = handmade.corner_network()
    study = handmade.study({0: {}}, {0: network}, images=images)
    one = images.fine == 0
    for found, reason in ((tiny, "too small"), (images.select(one.nonzero()[:, 0]), "one label alone")):
        study.dataset.__dict__["test"] = found
        with pytest.raises(NotApplicableError, match=reason):
            frequencies.compute(study)
