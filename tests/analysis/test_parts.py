from dataclasses import replace

import pytest

from bilateral.analysis import parts
from bilateral.models.config import ModelConfig
from bilateral.models.cost import network_cost

from . import handmade

SPARSE = {"arch": "sparse_resnet9", "width": 0.25, "sparsity": {"k": 0.3, "per_k": 0.5}}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"width": 0.25, "freeze": True}, {"width": 0.125, "freeze": True}),
        ({"arch": "vgg11", "width": 0.25}, {"arch": "resnet18", "width": 0.25, "freeze": True}),
        (SPARSE, {"arch": "vgg11_pool", "width": 0.125}),
    ],
)
def test_parts_add_up_to_the_whole(left, right):
    model = ModelConfig.model_validate({"left": left, "right": right})
    study = handmade.study({0: {}})
    run = study.systems[0].bilateral
    run.__dict__["description"] = replace(run.description, model=model, image_size=(32, 32))
    table = parts.compute(study)
    cost = network_cost(model, 6, 3, (32, 32))
    assert table["parameters"].sum() == cost.parameters
    assert table["trainable_parameters"].sum() == cost.trainable_parameters
    assert table["multiply_adds"].sum() == cost.forward_flops // 2
    by_side = table.groupby("where")["multiply_adds"].sum()
    assert {side: 2 * by_side[side] for side in ("left", "right")} == cost.hemisphere_flops
    assert list(table["where"].unique()) == ["left", "right", "heads"]
    assert table.loc[table["where"] == "heads", ["part", "output"]].to_numpy().tolist() == [
        ["fine", "6"],
        ["coarse", "3"],
    ]
    text = parts.tell(table)
    largest = table.loc[table["parameters"].idxmax()]
    assert text.startswith(f"Most parameters are in {largest['part']} ({largest['where']}): ")
    assert f"{cost.parameters:,} parameters" in text and f"{cost.trainable_parameters:,} are trained" in text
    parts.draw(table)


def test_a_stage_by_hand():
    study = handmade.study({0: {}})
    table = parts.compute(study).set_index(["where", "part"])
    # 3 channels to 4 by 3x3 without bias, batch norm of 4, on 16x16 positions.
    first = table.loc[("left", "conv1")]
    assert (first["output"], first["parameters"], first["multiply_adds"]) == ("4x16x16", 3 * 4 * 9 + 8, 3 * 4 * 9 * 256)
    assert table.loc[("heads", "fine"), "multiply_adds"] == 64 * 6
    assert table.loc[("heads", "coarse"), "parameters"] == 64 * 3 + 3


def test_what_has_most_is_named_on_both_sides_and_only_the_first_of_many():
    table = parts.compute(handmade.study({0: {}}))
    assert "Most parameters are in res2 (left/right): " in parts.tell(table) and " % each, and most" in parts.tell(
        table
    )
    assert " and 5 more: " in parts.tell(table.assign(multiply_adds=1)[table["where"] == "left"])
