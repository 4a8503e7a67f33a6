from pathlib import Path

import pytest

from bilateral.base.errors import ConfigError
from bilateral.runs.config import check_config
from bilateral.runs.plan import Run
from bilateral.runs.system import plan_system


def run(seed: int = 0, **values: object) -> Run:
    return Run(check_config({"model": {"left": {"width": 0.5}}, **values}, "test"), seed)


def test_a_system_is_left_and_right_alone_and_then_both():
    config = check_config({"model": {"left": {"width": 0.5, "freeze": True}, "right": {"arch": "vgg11"}}}, "test")
    plan = plan_system(config, 3)
    assert list(plan) == ["left", "right", "bilateral"]
    left, right = plan["left"].config, plan["right"].config
    assert (left.model.mode_heads, right.model.mode_heads) == ("fine", "coarse")
    assert left.model.hemispheres["left"].width == 0.5 and not left.model.hemispheres["left"].freeze
    assert right.model.hemispheres["right"].arch == "vgg11"
    assert plan["bilateral"].parents == {"left": plan["left"], "right": plan["right"]}
    assert {planned.seed for planned in plan.values()} == {3}


def test_a_hemisphere_with_a_checkpoint_is_no_parent():
    config = check_config({"model": {"left": {"checkpoint": "a"}}}, "test")
    assert list(plan_system(config, 0)["bilateral"].parents) == ["right"]


def test_a_network_that_is_not_bilateral_is_no_system():
    with pytest.raises(ConfigError, match="must be bilateral"):
        plan_system(check_config({"model": {"mode_hemis": "unilateral"}}, "test"), 0)


def test_group_folders_have_the_documented_names():
    assert run(name="exp").group == "exp-bilateral-resnet9-resnet9-both"
    model = {"mode_hemis": "unilateral", "mode_heads": "fine", "left": {"arch": "vgg11"}}
    assert run(model=model).group == "bilateral-unilateral-vgg11-fine"
    assert run(model={"mode_hemis": "ensemble", "members": ["a", "b"]}).group == "bilateral-ensemble-2members-both"
    assert Path(run(model={"left": {"arch": "a.b:C"}}).group).name == run(model={"left": {"arch": "a.b:C"}}).group
