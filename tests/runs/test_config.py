from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from bilateral.base.errors import CheckpointError, ConfigError
from bilateral.runs.config import check_config, dump_config, read_config
from bilateral.training.checkpoint import read, save

CONFIGS = Path(__file__).parents[2] / "configs"
PRESETS = sorted(path for path in CONFIGS.rglob("*.yaml") if path.name != "trained_models.yaml")


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_preset_is_valid_and_reads_back_to_itself(path, tmp_path):
    config = read_config(path)
    (tmp_path / "again.yaml").write_text(dump_config(config))
    assert read_config(tmp_path / "again.yaml") == config


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_preset_opens_with_its_command(path):
    assert path.read_text().startswith(("# python trainer.py", "# bilateral "))


def test_the_documentation_shows_every_key_with_its_default():
    text = (CONFIGS.parent / "docs" / "config.md").read_text().split("```yaml\n")[1].split("```")[0]
    shown = yaml.safe_load(text)
    shown["model"]["right"] = shown["model"]["left"] | {"level": "coarse"}
    default = check_config({"model": {"left": {}, "right": {}}, "experiment": {}}, "test")
    assert check_config(shown, "docs/config.md") == default
    inherited = {"pretraining": True, "experiment": {"end_to_end", "fine_tuning"}}
    missing = set(flat(default.model_dump(exclude=inherited))) - set(flat(shown))
    assert missing == set()


def flat(values: dict, prefix: str = "") -> list[str]:
    return [
        key
        for name, value in values.items()
        for key in ([f"{prefix}{name}"] if not isinstance(value, dict) else flat(value, f"{prefix}{name}."))
    ]


def test_an_experiment_s_trainings_inherit_what_they_do_not_set():
    experiment = {"end_to_end": {"epochs": 7}, "fine_tuning": {"lr": 0.01}}
    config = check_config({"training": {"batch_size": 64}, "experiment": experiment}, "test")
    whole, tuned = config.experiment.end_to_end, config.experiment.fine_tuning
    assert (whole.epochs, whole.batch_size, whole.lr) == (7, 64, None)
    assert (tuned.epochs, tuned.batch_size, tuned.lr) == (7, 64, 0.01)
    assert check_config(yaml.safe_load(dump_config(config)), "again") == config


@pytest.mark.parametrize("key", ["end_to_end", "fine_tuning"])
def test_an_experiment_s_trainings_are_checked(key):
    with pytest.raises(ConfigError, match=rf"experiment\.{key}\.epochs"):
        check_config({"experiment": {key: {"epochs": 0}}}, "test")
    with pytest.raises(ConfigError, match=rf"did you mean experiment\.{key}\.epochs"):
        check_config({"experiment": {key: {"epoch": 1}}}, "test")


def test_overrides_beat_the_file(tmp_path):
    (tmp_path / "c.yaml").write_text("training: {epochs: 5}\nmodel: {left: {width: 0.5}}")
    config = read_config(tmp_path / "c.yaml", ["training.epochs=7", "model.right.width=0.25", "seeds=[1,2]"])
    assert (config.training.epochs, config.seeds) == (7, [1, 2])
    assert (config.model.hemispheres["left"].width, config.model.hemispheres["right"].width) == (0.5, 0.25)


def test_a_hemispheres_stage_inherits_what_it_does_not_set():
    config = check_config(
        {"training": {"epochs": 7, "lr": 0.3}, "pretraining": {"left": {"epochs": 9}, "right": {"recipe": "original"}}},
        "test",
    )
    assert (config.pretraining.left.epochs, config.pretraining.left.lr) == (9, 0.3)
    assert (config.pretraining.right.epochs, config.pretraining.right.lr) == (180, 1e-4)


def test_another_recipe_inherits_what_belongs_to_no_recipe():
    values = {"training": {"device": "cpu", "lr": 0.3}, "pretraining": {"left": {"recipe": "original"}}}
    config = check_config(values, "test")
    assert (config.pretraining.left.device, config.pretraining.left.lr) == ("cpu", 1e-4)
    assert config.pretraining.right.lr == 0.3


def test_yaml_merge_keys_empty_sections_and_homes(tmp_path):
    text = "model:\n  left: &l {width: 0.5}\n  right: {<<: *l, arch: vgg11}\ndata:\nsave_dir: ~/runs\nname: 12"
    (tmp_path / "c.yaml").write_text(text)
    config = read_config(tmp_path / "c.yaml")
    right = config.model.hemispheres["right"]
    assert (right.width, right.arch, config.name) == (0.5, "vgg11", "12")
    assert config.save_dir == Path.home() / "runs"


def test_one_mistake_is_told_once(tmp_path):
    for override in ("training.epochs=abc", "training.recipe=slow", "training.recipe=[1]"):
        with pytest.raises(ConfigError) as error:
            read_config(None, [override])
        assert str(error.value).count("\n") == 0


def test_an_originals_key_as_an_override_leaves_the_recipe():
    assert read_config(None, ["hparams.lr=0.01"]).training.recipe == "fast"


def test_numbers_in_any_notation(tmp_path):
    (tmp_path / "c.yaml").write_text("training: {lr: 1e-3}")
    assert read_config(tmp_path / "c.yaml", ["training.weight_decay=1e-4"]).training.lr == 1e-3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: {epoch: 3}", r"c\.yaml: training\.epoch: unknown key; did you mean training\.epochs\?"),
        ("epochs: 3", r"epochs: unknown key; did you mean training\.epochs\?"),
        ("model: {lleft: {}}", r"did you mean model\.left\?"),
        ("zzz: 1", r"zzz: unknown key; allowed here: name, seeds"),
        ("model: {left: {width: wide}}", r"model\.left\.width: .*not 'wide'"),
        ("model: {mode_hemis: trilateral}", r"model\.mode_hemis: .*'unilateral', 'bilateral' or 'ensemble'"),
        ("seeds: 4", r"seeds: .*list, not 4"),
        ("seeds: []", "seeds: .*at least 1"),
        ("seeds: [1, 1]", "lists a seed twice"),
        ("name: ../up", "name: .*"),
        ("model: {mode_hemis: ensemble}", "needs `members`"),
        ("model: {mode_hemis: unilateral, left: {}, right: {}}", "one hemisphere"),
        ("model: {average: probabilities}", "`average` belongs to mode_hemis: ensemble"),
        ("checkpoints: {save_top_k: 0}", "save_top_k must not be 0"),
        ("protocol: original\ndata: {validation_fraction: 0.2}", "data.validation_fraction has no effect"),
        ("model: {mode_hemis: ensemble, members: [a, b], mode_heads: fine}", "mode_heads: both"),
        ("training: {epochs: 5, warmup_epochs: 5}", "must be fewer than epochs"),
        ("training: 3", "training: .*not 3"),
        ("a: 1\na: 2", "'a' is given twice"),
        ("a: [", "not valid YAML"),
        ("- 1", "must hold keys and values"),
        ("training: {lr: -1}\nseeds: x", r"(?s)seeds.*training\.lr|training\.lr.*seeds"),
    ],
)
def test_errors_say_where_what_and_what_is_allowed(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_config(tmp_path / "c.yaml")


def test_a_missing_file_and_a_bad_override_are_errors(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the config .*nothing\.yaml"):
        read_config(tmp_path / "nothing.yaml")
    with pytest.raises(ConfigError, match="must have the form key=value"):
        read_config(None, ["epochs"])
    with pytest.raises(ConfigError, match="name is a value, not a section"):
        read_config(None, ["name=a", "name.b=1"])


def test_a_preset_is_found_in_the_package_where_the_folder_has_no_such_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_config("configs/table.yaml") == read_config(CONFIGS / "table.yaml")
    with pytest.raises(ConfigError, match=r"config configs/foo\.yaml: No such file.*`bilateral info` lists the preset"):
        read_config("configs/foo.yaml")
    for name in ("configs/tables.yaml", "table.yaml"):
        with pytest.raises(ConfigError, match=r"No such file or directory; did you mean configs/table\.yaml\?"):
            read_config(name)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "table.yaml").write_text("name: my_own")
    assert read_config("configs/table.yaml").name == "my_own"


def test_the_written_config_is_plain_yaml():
    assert yaml.safe_load(dump_config(check_config({"save_dir": "x/y"}, "test")))["save_dir"] == "x/y"


def test_a_hemisphere_trained_by_another_optimizer_reads_back():
    for left in ({"optimizer": "sgd"}, {"optimizer": "adam", "lr": 0.001}):
        config = check_config({"training": {"muon_lr": 0.03}, "pretraining": {"left": left}}, "test")
        assert config.pretraining.left.muon_lr is None and config.pretraining.right.muon_lr == 0.03
        assert check_config(yaml.safe_load(dump_config(config)), "again") == config


def test_what_was_typed_is_told_of_the_command_line_and_the_rest_of_its_file(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("nam: x")
    with pytest.raises(ConfigError) as told:
        read_config(path, ["training.epoch=3"])
    assert "\nthe command line: training.epoch: unknown key" in f"\n{told.value}"
    assert f"\n{path} and the command line: nam: unknown key" in f"\n{told.value}"


def test_a_hemisphere_has_the_architecture_of_its_checkpoint_where_it_states_none():
    left = check_config({"model": {"left": {"checkpoint": "shapes-small/left"}}}, "test").model.left
    known = read(Path("shapes-small/left")).description.model.left
    assert (left.arch, left.width) == (known.arch, known.width) and known.width != 1
    stated = {"checkpoint": "shapes-small/left", "arch": "vgg11", "width": 0.5}
    assert check_config({"model": {"left": stated}}, "test").model.left.width == 0.5
    narrow = {"from": "specialised", "set": {"model.left.checkpoint": "shapes-small/left"}}
    variant = check_config({"experiment": {"variants": {"given": narrow}}}, "test").experiment.variants["given"]
    assert variant.set["model.left.width"] == known.width


def test_a_checkpoint_does_not_name_code_by_itself(tmp_path):
    description = read(Path("shapes-small/left")).description
    own = description.model.left.model_copy(update={"arch": "strange:Net"})
    model = description.model.model_copy(update={"left": own})
    save(tmp_path / "own.safetensors", torch.nn.Module(), replace(description, model=model))
    values = {"model": {"left": {"checkpoint": str(tmp_path / "own.safetensors")}}}
    with pytest.raises(CheckpointError, match="names code that is not part of bilateral, 'strange:Net'"):
        check_config(values, "test")
    assert check_config({**values, "own_code": ["strange:Net"]}, "test").model.left.arch == "strange:Net"


def test_a_setting_that_is_missing_is_told_with_what_to_write():
    with pytest.raises(ConfigError) as caught:
        check_config({"model": {"left": {"sparsity": {"k": 0.2}}}}, "test")
    told = "test: model.left.sparsity.per_k: is missing; write model.left.sparsity: {k: 0.2, per_k: VALUE}"
    assert str(caught.value) == told
    band = {"kind": "filter", "after": "input", "below": 4, "above": 8}
    with pytest.raises(ConfigError) as caught:
        check_config({"model": {"left": {"parts": {"band": band}}}}, "test")
    assert str(caught.value) == "test: model.left.parts.band: above: 8 is not below 4, so no frequency is left"
    part = {"kind": "filter", "below": 8}
    with pytest.raises(ConfigError) as caught:
        check_config({"model": {"right": {"parts": {"blur": part}}}}, "test")
    written = "model.right.parts.blur: {kind: filter, below: 8.0, match_contrast: false, after: VALUE}"
    assert str(caught.value) == f"test: model.right.parts.blur.after: is missing; write {written}"
    # What is told can be read as it stands.
    asked = yaml.safe_load(written.split(": ", 1)[1].replace("VALUE", "input"))
    assert (
        check_config({"model": {"right": {"parts": {"blur": asked}}}}, "test").model.right.parts["blur"].after
        == "input"
    )
