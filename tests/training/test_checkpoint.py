import json
import os
import sys
import warnings

import pytest
import torch
import yaml
from safetensors.torch import save_file

from bilateral import load
from bilateral.base import used_code
from bilateral.base.errors import CheckpointError, OutputError
from bilateral.data.augment import Normalisation
from bilateral.data.hierarchy import LabelHierarchy
from bilateral.models.bridges import BRIDGES
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.models.joins import JOINS
from bilateral.models.lesions import LESIONS
from bilateral.models.parts import PARTS
from bilateral.training import checkpoint
from bilateral.training.checkpoint import Description
from original import original_code

HIERARCHY = LabelHierarchy(("a", "b", "c"), ("x", "y"), (0, 0, 1))


def saved(path, mode_heads: str = "both", arch: str = "resnet9", seed: int = 0, **model: object):
    sides = {"left": {"arch": arch, "width": 0.0625}}
    mode = "bilateral" if "right" in model and "left" in model else "unilateral"
    config = ModelConfig(mode_hemis=mode, mode_heads=mode_heads, **(sides | model))
    network = build_network(config, 3, 2, seed)
    description = Description(config, 3, 2, HIERARCHY, Normalisation((0.5,) * 3, (0.2,) * 3), (32, 32))
    checkpoint.save(path, network, description)
    return network.eval(), description


def test_what_is_loaded_gives_identical_outputs_in_evaluation_mode(tmp_path):
    network, description = saved(tmp_path / "a.safetensors")
    loaded = load(tmp_path / "a.safetensors")
    images = torch.randn(2, 3, 32, 32)
    assert not loaded.training
    assert torch.equal(loaded(images).fine, network(images).fine)
    assert torch.equal(loaded(images).features["left"], network(images).features["left"])
    assert loaded.normalise(torch.zeros(1, 3, 2, 2, dtype=torch.uint8)).unique().tolist() == [-2.5]
    assert checkpoint.read(tmp_path / "a.safetensors").description == description


EXAMPLES = {
    (section, name): {"kind": name, **registry.find(name, "kind").example}
    for section, registry in (("parts", PARTS), ("bridges", BRIDGES), ("join", JOINS), ("lesions", LESIONS))
    for name in registry.names
}


@pytest.mark.parametrize(("section", "name"), EXAMPLES)
def test_every_registered_kind_is_loaded_as_it_was_saved(tmp_path, section, name):
    side, example = {"width": 1 / 16, "own_head": {}}, EXAMPLES[section, name]
    model = {
        "parts": {"left": {**side, "parts": {"mine": {**example, "after": "conv2"}}}},
        "bridges": {"bridges": {"mine": {**example, "between": {"left": "res1", "right": "res1"}}}},
        "join": {"join": example},
        "lesions": {"lesions": {"mine": {**example, "at": "left"}}},
    }[section]
    network, _ = saved(tmp_path / "x.safetensors", **{"left": side, "right": side, **model})
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)  # a lesion may draw in evaluation
    expected = network(images).fine
    torch.manual_seed(1)
    assert torch.equal(load(tmp_path / "x.safetensors")(images).fine, expected)


def test_mode_out_feature_gives_features_alone(tmp_path):
    saved(tmp_path / "a.safetensors")
    output = load(tmp_path / "a.safetensors", mode_out="feature")(torch.randn(2, 3, 32, 32))
    assert output.fine is None and output.coarse is None and output.joined.shape == (2, 32)


def test_a_run_folder_stands_for_its_best_checkpoint(tmp_path):
    saved(tmp_path / "checkpoints" / "last.safetensors", seed=1)
    network, _ = saved(tmp_path / "checkpoints" / "best.safetensors", seed=2)
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(load(tmp_path)(images).fine, network(images).fine)


def test_a_hemisphere_moves_from_either_side_of_a_file_into_a_network(tmp_path):
    source, _ = saved(tmp_path / "a.safetensors", mode_heads="coarse")
    target = build_network(ModelConfig(left={"width": 0.0625}, right={"width": 0.0625}), 3, 2, seed=9)
    checkpoint.load_weights(target, "hemispheres.right", tmp_path / "a.safetensors")
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(target.eval()(images).features["right"], source(images).features["left"])


def test_a_hemisphere_that_does_not_fit_names_both_shapes(tmp_path):
    saved(tmp_path / "a.safetensors")
    target = build_network(ModelConfig(left={"width": 0.125}, right={"width": 0.125}), 3, 2)
    with pytest.raises(CheckpointError, match=r"a\.safetensors.*\(4, 3, 3, 3\).*\(8, 3, 3, 3\)"):
        checkpoint.load_weights(target, "hemispheres.left", tmp_path / "a.safetensors")


@pytest.mark.parametrize("kept", [0, 1, 7, 9, 200, -1])
def test_a_file_cut_short_is_an_error_that_names_it(tmp_path, kept):
    saved(tmp_path / "a.safetensors")
    content = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "b.safetensors").write_bytes(content[:kept])
    with pytest.raises(CheckpointError, match=r"b\.safetensors"):
        load(tmp_path / "b.safetensors")


def test_foreign_safetensors_and_other_formats_are_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    header = {"bilateral": json.dumps({"format": 99})}
    save_file({"x": torch.zeros(1)}, tmp_path / "newer.safetensors", header)
    with pytest.raises(CheckpointError, match="not a checkpoint of ours"):
        load(tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="in format 1"):
        load(tmp_path / "newer.safetensors")
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load(tmp_path / "missing.safetensors")
    with pytest.raises(CheckpointError, match=r"holds no checkpoints/best.safetensors or last.safetensors$"):
        load(tmp_path)
    (tmp_path / "runs/mine/first-seed0").mkdir(parents=True)
    (tmp_path / "runs/mine/first-seed0/run.yaml").touch()
    with pytest.raises(CheckpointError, match=r"; give a run below it, such as .*runs/mine/first-seed0$"):
        load(tmp_path / "runs")


def test_an_ensemble_is_the_mean_of_its_members(tmp_path):
    first, _ = saved(tmp_path / "a.safetensors", seed=1)
    second, _ = saved(tmp_path / "b.safetensors", seed=2)
    ensemble, _ = checkpoint.load_ensemble([tmp_path / "a.safetensors", tmp_path / "b.safetensors"])
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ensemble(images).fine, (first(images).fine + second(images).fine) / 2)


def test_an_ensemble_needs_two_headed_members(tmp_path):
    saved(tmp_path / "a.safetensors")
    saved(tmp_path / "b.safetensors", mode_heads="fine")
    with pytest.raises(CheckpointError, match=r"b\.safetensors has a fine head only"):
        checkpoint.load_ensemble([tmp_path / "a.safetensors", tmp_path / "b.safetensors"])


def test_a_file_alone_never_decides_what_code_is_run(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "stranger.py").write_text(
        f"open({str(tmp_path / 'was_run')!r}, 'w')\n"
        "from bilateral.models.backbones.resnet9 import ResNet9\n"
        "class Net(ResNet9): pass\n"
    )
    network, _ = saved(tmp_path / "a.safetensors", arch="stranger:Net")
    (tmp_path / "was_run").unlink()
    monkeypatch.delitem(sys.modules, "stranger")
    with pytest.raises(CheckpointError, match="not part of bilateral, 'stranger:Net'"):
        load(tmp_path / "a.safetensors")
    assert not (tmp_path / "was_run").exists()
    images = torch.randn(2, 3, 32, 32)
    trusted = load(tmp_path / "a.safetensors", own_code=["stranger:Net"])
    assert torch.equal(trusted(images).fine, network(images).fine)


def test_own_code_that_has_changed_since_the_training_is_told(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    text = "from bilateral.models.backbones.resnet9 import ResNet9\nFACTOR = 1\n"
    text += "class Own(ResNet9):\n    factor = FACTOR\n"
    (tmp_path / "changing.py").write_text(text)
    saved(tmp_path / "a.safetensors", arch="changing:Own")

    def warned(text):
        (tmp_path / "changing.py").write_text(text)
        used_code._read.cache_clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            again = load(tmp_path / "a.safetensors", own_code=["changing:Own"])
        assert again(torch.zeros(1, 3, 32, 32)).fine.isfinite().all()
        return [str(each.message) for each in caught]

    assert warned(text) == warned(f"# a comment\n{text}") == []
    (told,) = warned(text.replace("FACTOR = 1", "FACTOR = 2"))
    assert told.startswith(f"the code of changing:Own has changed since {tmp_path / 'a.safetensors'} was trained")
    # What is written from it still has the code that it was trained with.
    first = checkpoint.read(tmp_path / "a.safetensors")
    with pytest.warns(UserWarning, match="has changed"):
        network = checkpoint.build(first, tmp_path / "a.safetensors", own_code=["changing:Own"])
    checkpoint.save(tmp_path / "b.safetensors", network, first.description)
    assert checkpoint.read(tmp_path / "b.safetensors").description == first.description


def test_the_same_network_makes_the_same_file(tmp_path):
    for _ in range(5):
        saved(tmp_path / "a.safetensors")
        content = (tmp_path / "a.safetensors").read_bytes()
        saved(tmp_path / "b.safetensors")
        assert (tmp_path / "b.safetensors").read_bytes() == content


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "best\x00", "epoch=001-val_acc=0.5", "", "~"])
def test_a_record_cannot_name_a_file_elsewhere(tmp_path, name):
    saved(tmp_path / "x.safetensors")
    saved(tmp_path / "run" / "checkpoints" / "best.safetensors")
    record = {"id": "i", "kind": "k", "role": "r", "seed": 0, "data": {"name": "d", "fingerprint": "f"}, "metrics": {}}
    (tmp_path / "run" / "run.yaml").write_text(yaml.safe_dump(record | {"checkpoint": name}))
    with pytest.raises(OutputError, match=r"run\.yaml is no record of a run \(checkpoint"):
        load(tmp_path / "run")
    (tmp_path / "run" / "run.yaml").write_text(yaml.safe_dump(record | {"checkpoint": "best"}))
    assert load(tmp_path / "run")


@pytest.mark.parametrize("place", ["file", "run.yaml", "best"])
def test_a_pipe_is_not_waited_for(tmp_path, place):
    path = tmp_path / {"file": "a", "run.yaml": "run.yaml", "best": "checkpoints/best.safetensors"}[place]
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    kind = OutputError if place == "run.yaml" else CheckpointError
    with pytest.raises(kind, match=r"it is a pipe|holds no checkpoints"):
        load(path if place == "file" else tmp_path)
    with pytest.raises(CheckpointError, match="/dev/zero: it is a pipe, a device"):
        load("/dev/zero")


def test_paths_are_read_as_people_write_them(tmp_path, monkeypatch):
    saved(tmp_path / "a.safetensors")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load("~/a.safetensors") and load("$HOME/a.safetensors")
    for path in ("$NO_SUCH_VARIABLE/a", "~no_such_user/a", "a\0b"):
        with pytest.raises(CheckpointError, match="cannot look for the checkpoint"):
            load(path)


def test_checkpoints_can_be_read_by_others(tmp_path):
    saved(tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o666 & ~os.umask(os.umask(0o022))


def test_files_of_the_original_code_load_and_give_their_hemisphere(tmp_path):
    original = original_code.unilateral(levels=["fine"])
    path = original_code.save(tmp_path / "epoch=3-val_acc=0.689.ckpt", original, {"farch": "resnet9"})
    images = torch.randn(2, 3, 32, 32)
    loaded = load(path)
    assert loaded(images).coarse is None
    text_order = sorted(range(100), key=str)
    torch.testing.assert_close(loaded(images).fine[:, text_order], original(images)["fine"])
    width = checkpoint.read(path).description.model.hemispheres["left"].width
    target = build_network(ModelConfig(left={"width": width}, right={"width": width}), 3, 2).eval()
    checkpoint.load_weights(target, "hemispheres.left", path)
    assert torch.equal(target(images).features["left"], loaded(images).features["left"])
