from pathlib import Path

import pytest

from bilateral.runs.config import check_config
from bilateral.runs.plan import Run, code_fingerprint, named_weights, with_weights
from conftest import system_runs


def run(seed: int = 0, **values: object) -> Run:
    return Run(check_config({"model": {"left": {"width": 0.5}}, **values}, "test"), seed)


def test_the_same_has_the_same_id_wherever_it_is_written():
    assert run().identity("data") == run(save_dir="elsewhere", name="other").identity("data")
    assert run().identity("data") == run(training={"device": "cpu", "log_every_steps": 3}).identity("data")


def test_views_count_only_where_features_are_kept():
    def network(views: int, freeze: bool) -> Run:
        model = {side: {"freeze": freeze, "width": 0.5} for side in ("left", "right")}
        return run(model=model, training={"feature_views": views})

    assert network(1, freeze=False).identity("data") == network(2, freeze=False).identity("data")
    assert network(1, freeze=True).identity("data") != network(2, freeze=True).identity("data")


@pytest.mark.parametrize(
    "values",
    [
        {"training": {"epochs": 11}},
        {"model": {"left": {"width": 0.25}}},
        {"protocol": "original"},
        {"data": {"validation_fraction": 0.2}},
        {"data": {"split_seed": 1}},
        {"checkpoints": {"monitor": "val_loss"}},
        {"seed": 1},
    ],
)
def test_whatever_changes_the_result_changes_the_id(values):
    assert run(**values).identity("data") != run().identity("data")


def test_other_data_and_other_parents_are_other_runs():
    assert run().identity("data") != run().identity("other data")
    child, other = (Run(run().config, 0, parents={"hemispheres.left": run(seed)}) for seed in (0, 1))
    assert child.identity("data") != other.identity("data")


def test_seeds_are_of_one_kind_but_not_with_otherwise_trained_hemispheres():
    def bilateral(seed: int, epochs: int) -> Run:
        values = {"pretraining": {"left": {"epochs": epochs}}}
        return system_runs(check_config(values, "test"), seed)["specialised"]

    assert bilateral(0, 5).kind("data") == bilateral(1, 5).kind("data")
    assert bilateral(0, 5).kind("data") != bilateral(1, 6).kind("data")


def test_a_checkpoint_counts_by_its_content(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"one")
    first = run(model={"left": {"checkpoint": str(path)}}).identity("data")
    path.write_bytes(b"two")
    assert run(model={"left": {"checkpoint": str(path)}}).identity("data") != first


def test_the_codes_fingerprint_ignores_comments_but_not_code(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "my_backbone.py"

    def fingerprint(text: str) -> str:
        module.write_text(text)
        code_fingerprint.cache_clear()
        return code_fingerprint(("my_backbone:Mine",))

    first = fingerprint("from torch.nn import Module\nclass Mine(Module):\n    x = 1\n")
    assert fingerprint("# a remark\nfrom torch.nn import Module\nclass Mine(Module):\n\n    x = 1\n") == first
    assert fingerprint("from torch.nn import Module\nclass Mine(Module):\n    x = 2\n") != first


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
