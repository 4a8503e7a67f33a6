"""Weights of the sides: of networks whose join weighs them, and on tables made by hand."""

import numpy as np
import pandas as pd
import pytest
import torch

from bilateral.analysis import weights
from bilateral.analysis.study import NotApplicableError
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig

from . import handmade

OWN = {"width": 1 / 16, "own_head": {"weight": 0.5}}


def network(kind: str, side: dict, seed: int):
    made = build_network(ModelConfig.model_validate({"left": side, "right": side, "join": {"kind": kind}}), 6, 3, seed)
    torch.manual_seed(seed)
    for parameter in [*made.join.parameters(), *made.own_heads.parameters()]:
        torch.nn.init.normal_(parameter)
    return made.eval().requires_grad_(False)


def study_of(kind: str, side: dict):
    networks = {seed: network(kind, side, seed) for seed in (0, 1)}
    return handmade.study({seed: {} for seed in networks}, networks, images=handmade.make_images(5, 1))


@pytest.fixture(scope="module")
def found():
    study = study_of("confidence", OWN)
    return study, weights.compute(study)


def test_weights_and_answers_are_those_of_the_pass(found):
    study, table = found
    assert len(table) == 2 * len(study.images)
    for system in study.systems:
        own = table[table["seed"] == system.seed]
        output = system.network(system.normalise(study.images.images))
        assert own["left"].tolist() == pytest.approx(output.weights["left"].tolist(), abs=1e-5)
        assert own["left"].std() > 0.002
        for level, labels in (("fine", study.images.fine), ("coarse", study.images.coarse)):
            assert own[f"{level}_correct"].tolist() == (output.logits[level].argmax(1) == labels).int().tolist()
        said = output.own["right"]["coarse"].argmax(1) == study.images.coarse
        assert own["right_coarse_correct"].tolist() == said.int().tolist()
        assert own["superclass"].tolist() == ["xyz"[label] for label in study.images.coarse]
    assert {"left_fine_correct", "right_coarse_correct"} < set(table) and "right_fine_correct" not in table


def test_without_own_heads_there_is_nothing_of_them():
    table = weights.compute(study_of("gate", {"width": 1 / 16}))
    assert list(table) == ["seed", "image", "superclass", "left", "fine_correct", "coarse_correct"]
    assert "own heads" not in weights.tell(table)
    weights.draw(table)


def test_a_join_that_does_not_weigh_says_so():
    study = handmade.study({0: {}}, {0: handmade.network()})
    with pytest.raises(NotApplicableError, match="the join concat does not weigh the sides"):
        weights.compute(study)


def made(seeds=(0, 1)) -> pd.DataFrame:
    """Left has 0.75 where the fine answer is right (0.85 for seed 1), else 0.25; its own head is right there alone."""
    lines = []
    for seed in seeds:
        for image in range(8):
            right = image % 2
            left = 0.75 + 0.1 * seed if right else 0.25
            lines.append((seed, image, "x" if image < 5 else "y", left, right, 1, right, 1 - right))
    columns = ["seed", "image", "superclass", "left"]
    return pd.DataFrame(
        lines, columns=[*columns, "fine_correct", "coarse_correct", "left_fine_correct", "right_coarse_correct"]
    )


def test_differences_and_correlations_by_hand():
    table = made()
    assert weights.difference(table, "fine") == pytest.approx([0.5, 0.6])
    assert weights.difference(table, "coarse") == []  # never wrong
    assert weights.correlation(table, "left_fine") == pytest.approx([1, 1])
    assert weights.correlation(table, "right_coarse") == pytest.approx([-1, -1])
    assert weights.correlation(table.assign(left=0.5), "left_fine") == []


def test_the_sentence_says_it_with_figures():
    said = weights.tell(made())
    assert said.startswith(
        "The join uses another mix for every image. "
        "On average it weighs left by 0.53 and right by 0.47, with a deviation of 0.275 over images, "
        "from 0.47 for x to"
    )
    assert "Where the fine answer is right it differs by +0.550 (n = 2, 95 % interval" in said
    assert "coarse answer" not in said
    assert (
        "of own heads: left's fine head +1.00 (n = 2, 95 % interval +1.00 to +1.00); right's coarse head -1.00" in said
    )
    assert "(one seed)" in weights.tell(made(seeds=(0,)))
    still = weights.tell(made().assign(left=0.5))
    assert (
        still.startswith("The join uses nearly the same mix for every image.")
        and "nan" not in still
        and "correlation" not in still
    )


def test_the_figure_has_all_three_and_the_ends_of_many_superclasses():
    figure = weights.draw(made())
    assert [len(axes.get_yticklabels()) for axes in figure.axes[1:]] == [2, 4]
    many = pd.concat([made().assign(superclass=f"c{number:02}", left=number / 50) for number in range(50)])
    names = [label.get_text() for label in weights.draw(many).axes[1].get_yticklabels()]
    assert names == [f"c{number:02}" for number in [*range(15), *range(35, 50)]]
    assert np.isfinite(figure.axes[0].dataLim.bounds).all()
