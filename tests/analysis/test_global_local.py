"""Which side knows which level: of networks that are told one identity each, and of tables made by hand."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch import nn

from bilateral.analysis import global_local
from bilateral.analysis.global_local import accuracy, interference, locality, tell
from bilateral.analysis.study import NotApplicableError
from bilateral.data import sources
from bilateral.data.navon import IDENTITIES, identities_of
from bilateral.models.network import Network
from bilateral.runs.config import check_config

from . import handmade

COUNT = len(IDENTITIES)
WEAK = 0.2


class Told(nn.Module):
    """A hemisphere that reads its identity off the corner of an image, where `told_study` writes both."""

    num_features = COUNT

    def __init__(self, row: int) -> None:
        super().__init__()
        self.row, self.scale = row, nn.Parameter(torch.ones(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.scale * images[:, 0, self.row, :COUNT]


def told_study(level: str = "global"):
    """Left is told the local identity, right the global one; the fine head confuses local ones with the global one.

    In the fine head the local identity counts WEAK, and the global one, taken for the local one, counts 1.
    """
    options = {"level": level, "train_per_class": 4, "test_per_class": 1}
    dataset = sources.load(check_config({"data": {"name": "navon", "options": options}}, "test").data)
    for split, images in dataset.splits().items():
        noise = torch.randint(0, 5, (len(images), 2, COUNT), generator=torch.Generator().manual_seed(len(split)))
        for row, level_of in enumerate(("local", "global")):
            identity = identities_of(images.fine)[level_of]
            images.images[:, :, row, :COUNT] = (200 * nn.functional.one_hot(identity, COUNT) + noise[:, row]).to(
                torch.uint8
            )[:, None]
    heads = {"fine": nn.Linear(2 * COUNT, COUNT**2), "coarse": nn.Linear(2 * COUNT, COUNT)}
    network = Network({"left": Told(0), "right": Told(1)}, heads).eval()
    eye = torch.eye(COUNT)
    by_pair = {each: eye[identities] for each, identities in identities_of(torch.arange(COUNT**2)).items()}
    with torch.no_grad():
        right = 10 * by_pair["global"] + by_pair["local"]
        heads["fine"].weight.copy_(torch.cat([WEAK * by_pair["local"], right], 1))
        heads["coarse"].weight.copy_(torch.cat([0 * eye, eye] if level == "global" else [eye, 0 * eye], 1))
        for head in heads.values():
            head.bias.zero_()
    network.requires_grad_(False)
    study = replace(
        handmade.study({0: {}, 1: {}}, dict.fromkeys((0, 1), network)),
        config=check_config({"data": {"name": "navon", "options": options}, "training": {"device": "cpu"}}, "test"),
    )
    systems = handmade.study({0: {}, 1: {}}, dict.fromkeys((0, 1), network)).systems
    study.__dict__.update(dataset=dataset, systems=systems)
    return study


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return global_local.compute(told_study())


def test_readouts_name_what_each_side_is_told(table):
    assert (accuracy(table, "left", "local") == 100).all() and (accuracy(table, "right", "global") == 100).all()
    assert (accuracy(table, "left", "global") < 45).all() and (accuracy(table, "right", "local") < 45).all()
    assert (locality(table, "left") > 50).all() and (locality(table, "right") < -50).all()


def test_the_global_identity_costs_the_local_decision_and_not_the_other_way_round(table):
    assert interference(table, "fine", "local").to_dict() == {0: 100, 1: 100}
    assert accuracy(table, "fine", "local", figures="incongruent").to_dict() == {0: 0, 1: 0}
    assert interference(table, "fine", "global").to_dict() == {0: 0, 1: 0}
    assert accuracy(table, "fine", "local").tolist() == pytest.approx([100 / COUNT] * 2)


def test_without_right_the_fine_head_names_the_local_identity_and_not_the_global_one(table):
    assert (accuracy(table, "fine", "local", "right") == 100).all()
    assert (accuracy(table, "fine", "global", "right") < 45).all()
    assert (accuracy(table, "coarse", "global", "left") == 100).all()
    assert (accuracy(table, "coarse", "global", "right") < 45).all()
    assert accuracy(table, "coarse", "local").empty


def test_the_coarse_head_says_the_identity_of_the_configs_level():
    table = global_local.compute(told_study("local"))
    assert (accuracy(table, "coarse", "local") == 100).all() and accuracy(table, "coarse", "global").empty


def test_the_sentence_has_each_side_the_difference_and_both_costs(table):
    text = tell(table)
    assert "of the large forms and 100.0 % of the small ones; from right 100.0 % of the large forms" in text
    assert "In the fine head the local identity costs the global decision +0.0 (n = 2" in text
    assert "the global identity costs the local decision +100.0 (n = 2" in text
    assert "In the coarse head the local identity costs the global decision +0.0 (n = 2" in text
    one = tell(table[table["seed"] == 0])
    assert "(0: the same) is +" in one and "(one seed) points" in one


def test_the_figure(table):
    figure = global_local.draw(table)
    assert [axes.get_title() for axes in figure.axes] == ["accuracy", "interference"]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[:4] == ["readout of left", "readout of right", "fine head", "coarse head"]
    assert "fine head, without left" in names and len(names) == 2 + 3 * 2


def test_other_images_have_no_levels():
    with pytest.raises(NotApplicableError, match="are not compound figures"):
        global_local.compute(handmade.study({0: {}}, {0: handmade.network()}))
