"""Which side is for which labels: on networks that are damaged on one side, and on tables made by hand."""

import math

import pandas as pd
import pytest
import torch

from bilateral.analysis import specialisation
from bilateral.analysis.specialisation import laterality, tell
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.models.lesions.units import Units

from . import handmade


def made(**points: dict[str, tuple[float, float]]) -> pd.DataFrame:
    """Points of left and right by measure and level, of two seeds whose points differ by a factor of 2."""
    return pd.DataFrame(
        [
            (seed, level, measure, side, (1 + seed) * value)
            for measure, levels in points.items()
            for level, pair in levels.items()
            for side, value in zip(("left", "right"), pair)
            for seed in (0, 1)
        ],
        columns=["seed", "level", "measure", "side", "points"],
    )


def test_the_index_is_the_difference_over_the_sum():
    table = made(readout={"fine": (30.0, 10.0), "coarse": (10.0, 30.0)}, silencing={"fine": (0.0, 0.0)})
    assert laterality(table, "readout", "fine").to_dict() == {0: 0.5, 1: 0.5}
    assert laterality(table, "readout", "coarse").to_dict() == {0: -0.5, 1: -0.5}
    assert all(math.isnan(value) for value in laterality(table, "silencing", "fine"))
    assert specialisation.specialisation(table, "readout").to_dict() == {0: 0.5, 1: 0.5}


def test_the_sentence_names_each_level_and_the_difference():
    text = tell(made(readout={"fine": (30.0, 10.0), "coarse": (10.0, 30.0)}, silencing={"fine": (0.0, 0.0)}))
    assert "fine labels +0.50 (n = 2" in text and "coarse labels -0.50 (n = 2" in text
    assert "specialisation is +0.50 (n = 2" in text and "loss when silenced" not in text
    assert tell(made(readout={"fine": (0.0, 0.0)})) == "Neither side is worth anything above chance."


@pytest.fixture(scope="module")
def table():
    """Two networks whose right hemisphere has lost all units but one, under heads that are fitted to left and right."""
    networks = {seed: handmade.network(seed=seed) for seed in (0, 1)}
    study = handmade.study({seed: {} for seed in networks}, networks, images=handmade.make_images(10, 1))
    lesion = Units(Units.Options(share=31 / 32))
    with networks[0].lesioned({"right": lesion}), networks[1].lesioned({"right": lesion}):
        for system in study.systems:
            handmade.fit_heads(system.network, study.evaluation(system).features, study.images)
        study._evaluations.clear()
        return specialisation.compute(study)


@pytest.mark.parametrize("measure", ["readout", "silencing"])
@pytest.mark.parametrize("level", ["fine", "coarse"])
def test_a_damaged_side_is_worth_less(table, measure, level):
    assert (laterality(table, measure, level) > specialisation.LATERALISED).all()
    assert (table["points"] >= 0).all() and len(table) == 2 * 2 * 2 * 2


def test_crosstalk_is_what_the_readout_of_a_side_loses_without_the_bridge():
    """A left of which nothing is left but what the bridge brings from right."""
    bridge = {"between": {"left": "pool", "right": "pool"}}
    model = ModelConfig.model_validate(handmade.SMALL | {"bridges": {"additive": bridge}})
    network = build_network(model, 6, 3, 0).eval().requires_grad_(False)
    for weight in network.hemispheres["left"].parameters():
        weight.zero_()
    network.bridges["additive"].maps["left"].weight.copy_(torch.eye(32))
    study = handmade.study({0: {}}, {0: network}, images=handmade.make_images(10, 1))
    table = specialisation.compute(study)
    told = table[table["measure"] == "crosstalk"].set_index(["side", "level"])["points"]
    known = table[table["measure"] == "readout"].set_index(["side", "level"])["points"]
    for level in ("fine", "coarse"):
        assert told["left", level] == pytest.approx(known["right", level]) and told["left", level] > 10
        assert told["right", level] == 0
    assert "Bridges bring left +" in tell(table)


def test_without_a_bridge_there_is_no_crosstalk(table):
    assert set(table["measure"]) == {"readout", "silencing"}


def test_the_figure(table):
    figure = specialisation.draw(table)
    assert [axes.get_title() for axes in figure.axes] == list(specialisation.MEASURES.values())
    specialisation.draw(made(readout={"fine": (1.0, 0.0)}))


def test_chance_is_that_of_the_number_of_labels(table):
    chance = table.groupby("level")["chance_pct"].unique()
    assert chance["fine"].tolist() == pytest.approx([100 / 6]) and chance["coarse"].tolist() == pytest.approx([100 / 3])


@pytest.mark.parametrize(
    ("indices", "first"),
    [
        ([0.5, 0.52, 0.5], "Left knows the fine labels better (laterality +0.51)."),
        ([-0.3, -0.32, -0.3], "Right knows the fine labels better (laterality -0.31)."),
        ([0.1, 0.12, 0.1], "Both hemispheres know the fine labels about equally well (laterality +0.11)."),
        ([0.9, 0.1, 0.2], "Neither hemisphere is shown to know the fine labels better (laterality +0.40)."),
        ([0.3, -0.3, 0.0], "Neither hemisphere is shown to know the fine labels better (laterality +0.00)."),
        ([0.5], "In this one seed left knows the fine labels better (laterality +0.50)."),
        ([0.1], "In this one seed both hemispheres know the fine labels about equally well (laterality +0.10)."),
    ],
)
def test_who_knows_a_level_better_is_said_only_if_it_is_shown(indices, first):
    lines = [
        (seed, "fine", "readout", side, 10 * (1 + sign * index))
        for seed, index in enumerate(indices)
        for side, sign in (("left", 1), ("right", -1))
    ]
    text = tell(pd.DataFrame(lines, columns=["seed", "level", "measure", "side", "points"]))
    assert text.startswith(f"{first} Laterality (1: all in left, -1: all in right), by readout above chance, fine ")
