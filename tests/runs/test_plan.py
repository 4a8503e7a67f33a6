from pathlib import Path

from bilateral.runs.config import check_config
from bilateral.runs.plan import Run, named_weights, with_weights
from conftest import system_runs


def run(seed: int = 0, **values: object) -> Run:
    return Run(check_config({"model": {"left": {"width": 0.5}}, **values}, "test"), seed)


def test_a_system_is_left_and_right_alone_and_then_both():
    config = check_config({"model": {"left": {"width": 0.5, "freeze": True}, "right": {"arch": "vgg11"}}}, "test")
    plan = system_runs(config, 3)
    left, right = plan["left"].config, plan["right"].config
    assert (left.model.mode_heads, right.model.mode_heads) == ("fine", "coarse")
    assert left.model.hemispheres["left"].width == 0.5 and not left.model.hemispheres["left"].freeze
    assert right.model.hemispheres["right"].arch == "vgg11"
    assert plan["specialised"].parents == {f"hemispheres.{side}": plan[side] for side in ("left", "right")}
    assert {planned.seed for planned in plan.values()} == {3}


def test_weights_are_named_by_the_prefix_of_the_state_that_they_give():
    whole = check_config({"model": {"checkpoint": "a"}}, "test").model
    assert named_weights(whole) == {"": Path("a")}
    joined = check_config({"model": {"right": {"checkpoint": "b"}}}, "test").model
    assert named_weights(joined) == {"hemispheres.right": Path("b")}
    given = {"hemispheres.left": Path("c"), "hemispheres.right": None}
    assert named_weights(with_weights(joined, given)) == {"hemispheres.left": Path("c")}
    assert named_weights(with_weights(joined, {"": Path("d")}))[""] == Path("d")


def test_a_run_that_only_tests_is_another_one(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"one")
    trained, tested = (run(model={"checkpoint": str(path)}, train=train) for train in (True, False))
    assert trained.identity("data") != tested.identity("data")


def test_group_folders_have_the_documented_names():
    assert run(name="exp").group == "exp-bilateral-resnet9-resnet9-both"
    model = {"mode_hemis": "unilateral", "mode_heads": "fine", "left": {"arch": "vgg11"}}
    assert run(model=model).group == "bilateral-unilateral-vgg11-fine"
    assert run(model={"mode_hemis": "ensemble", "members": ["a", "b"]}).group == "bilateral-ensemble-2members-both"
    assert Path(run(model={"left": {"arch": "a.b:C"}}).group).name == run(model={"left": {"arch": "a.b:C"}}).group
