"""Every documented key of the original either takes effect or is refused: `EFFECTS` and `REFUSED` hold them all."""

import copy
import warnings
from pathlib import Path

import pytest
import yaml

from bilateral.base.errors import ConfigError
from bilateral.original import keys
from bilateral.original.keys import translate
from bilateral.runs.config import Config, check_config, read_config

CONFIG_YAML = yaml.safe_load((Path(__file__).parents[2] / "configs" / "config.yaml").read_text())
BILATERAL = {"hparams.mode_hemis": "bilateral", "hparams.mode_heads": "both", "hparams.carch": "resnet9"}
SPARSE = BILATERAL | {"hparams.farch": "sparse_resnet9", "hparams.carch": "sparse_resnet9"}
ENSEMBLE = {"hparams.mode_hemis": "ensemble", "hparams.mode_heads": "both", "hparams.model_path_fine": ["a", "b"]}

# key: (value, other settings that it needs, where it shows in our config, what it is there)
EFFECTS = {
    "seeds": ([5, 6], {}, "seeds", [5, 6]),
    "evaluate": (False, {}, "evaluate", False),
    "save_dir": ("elsewhere", {}, "save_dir", Path("elsewhere")),
    "exp_name": ("mine", {}, "name", "mine"),
    "trainer_params.accelerator": ("gpu", {}, "training.device", "cuda"),
    "trainer_params.max_epochs": (33, {}, "training.epochs", 33),
    "trainer_params.log_every_n_steps": (7, {}, "training.log_every_steps", 7),
    "trainer_params.check_val_every_n_epoch": (3, {}, "training.validate_every_epochs", 3),
    "trainer_params.accumulate_grad_batches": (4, {}, "training.accumulate_batches", 4),
    "dataset.train_dir": ("d/train", {}, "data.train_dir", Path("d/train")),
    "dataset.val_dir": ("d/val", {}, "data.val_dir", Path("d/val")),
    "dataset.test_dir": ("d/test", {}, "data.test_dir", Path("d/test")),
    "dataset.raw_data_dir": ("raw/", {}, "data.raw_data_dir", Path("raw")),
    "hparams.mode_heads": ("fine", {}, "model.mode_heads", "fine"),
    "hparams.mode_out": ("feature", {}, "model.mode_out", "feature"),
    "hparams.mode_hemis": ("bilateral", {"hparams.mode_heads": "both"}, "model.mode_hemis", "bilateral"),
    "hparams.farch": ("vgg11", {}, "model.left.arch", "vgg11"),
    "hparams.carch": ("vgg11", BILATERAL, "model.right.arch", "vgg11"),
    "hparams.ffreeze": (True, {}, "model.left.freeze", True),
    "hparams.cfreeze": (True, BILATERAL, "model.right.freeze", True),
    "hparams.lr": (1e-2, {}, "training.lr", 1e-2),
    "hparams.weight_decay": (1e-2, {}, "training.weight_decay", 1e-2),
    "hparams.warmup_epochs": (2, {}, "training.warmup_epochs", 2),
    "hparams.batch_size": (32, {}, "training.batch_size", 32),
    "hparams.num_workers": (9, {}, "data.num_workers", 9),
    "hparams.fine_k": (0.3, SPARSE | {"hparams.fine_per_k": 0.5}, "model.left.sparsity.k", 0.3),
    "hparams.fine_per_k": (0.3, SPARSE | {"hparams.fine_k": 0.5}, "model.left.sparsity.per_k", 0.3),
    "hparams.coarse_k": (0.3, SPARSE | {"hparams.coarse_per_k": 0.5}, "model.right.sparsity.k", 0.3),
    "hparams.coarse_per_k": (0.3, SPARSE | {"hparams.coarse_k": 0.5}, "model.right.sparsity.per_k", 0.3),
    "hparams.dropout": (0.1, {}, "model.dropout", 0.1),
    "hparams.model_path_fine": ("a.ckpt", BILATERAL, "model.left.checkpoint", Path("a.ckpt")),
    "hparams.model_path_coarse": ("b.ckpt", BILATERAL, "model.right.checkpoint", Path("b.ckpt")),
    "hparams.model_path": ("c.ckpt", {}, "model.checkpoint", Path("c.ckpt")),
    "ckpt_callback.save_top_k": (3, {}, "checkpoints.save_top_k", 3),
    "ckpt_callback.monitor": ("val_loss", {}, "checkpoints.monitor", "val_loss"),
    "ckpt_callback.mode": ("min", {}, "checkpoints.mode", "min"),
    "ckpt_callback.save_last": (True, {}, "checkpoints.save_last", True),
}
REFUSED = {
    "trainer_params.devices": 2,
    "trainer_params.accelerator": "tpu",
    "logger.type": "WandbLogger",
    "hparams.mode_heads": "features",
    "hparams.lrr": 1,
    "trainer_params.precision": 16,
}
WARNED = {
    "trainer_params.default_root_dir": ("/elsewhere", {}),
    "dataset.val_dir": ("datasets/CIFAR100/test", {}),
    "hparams.carch": ("vgg11", {}),
}


def with_settings(settings: dict) -> dict:
    raw = copy.deepcopy(CONFIG_YAML)
    for key, value in settings.items():
        *sections, last = key.split(".")
        target = raw
        for section in sections:
            target = target.setdefault(section, {})
        target[last] = value
    return raw


def read(settings: dict) -> Config:
    return check_config(translate(with_settings(settings), "test"), "test")


def value_at(config: object, key: str) -> object:
    for part in key.split("."):
        config = getattr(config, part)
    return config


@pytest.mark.filterwarnings("ignore:.*k-WTA")
@pytest.mark.parametrize("key", EFFECTS)
def test_a_documented_key_takes_effect(key):
    value, others, ours, expected = EFFECTS[key]
    assert value_at(read(others | {key: value}), ours) == expected
    without = {k: v for k, v in others.items() if k != key}
    try:
        default = value_at(read(without), ours)
    except (ConfigError, AttributeError):
        default = None
    assert default != expected, "the value must not be what it is anyway"


@pytest.mark.parametrize("key", REFUSED)
def test_what_cannot_be_had_is_refused_and_named(key):
    with pytest.raises(ConfigError, match=key.rpartition(".")[2]):
        read({key: REFUSED[key]})


@pytest.mark.parametrize("key", WARNED)
def test_what_has_no_effect_is_told(key):
    value, others = WARNED[key]
    with pytest.warns(UserWarning):
        read(others | {key: value})


def test_the_tables_above_hold_every_key_that_the_original_ships():
    shipped = set()
    for section, values in CONFIG_YAML.items():
        shipped |= {f"{section}.{key}" for key in values} if isinstance(values, dict) else {section}
    assert shipped <= EFFECTS.keys() | REFUSED.keys() | WARNED.keys()
    assert set(keys.OUR_KEYS) <= EFFECTS.keys()


def test_a_file_as_shipped_reads_without_a_warning_and_trains_as_published():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = read({})
    assert (config.training.recipe, config.training.optimizer, config.data.name) == ("original", "adam", "folders")
    assert list(config.model.hemispheres) == ["left"]


def test_k_wta_is_on_only_where_both_numbers_are_set_and_not_0():
    assert read(SPARSE | {"hparams.fine_k": 0.0, "hparams.fine_per_k": 0.0}).model.hemispheres["left"].sparsity is None
    for k, per_k in ((0.5, None), (None, 0.5), (0.5, 0)):
        with pytest.warns(UserWarning, match="k-WTA of the left hemisphere is off"):
            config = read(SPARSE | {"hparams.fine_k": k, "hparams.fine_per_k": per_k})
        assert config.model.hemispheres["left"].sparsity is None


def test_an_ensembles_members_come_from_model_path_fine():
    config = read(ENSEMBLE)
    assert config.model.members == [Path("a"), Path("b")]
    with pytest.raises(ConfigError, match="two or more"):
        read(ENSEMBLE | {"hparams.model_path_fine": ["a"]})


def test_a_setting_in_both_forms_is_refused():
    raw = with_settings({"training.lr": 0.5})
    with pytest.raises(ConfigError, match=r"training\.lr is given twice"):
        translate(raw, "test")
    raw = with_settings({"protocol": "original", "training.recipe": "fast"})
    assert translate(raw, "test")["training"]["recipe"] == "fast"


def test_overrides_in_either_form_beat_the_file(tmp_path):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(CONFIG_YAML))
    config = read_config(tmp_path / "c.yaml", ["hparams.lr=0.5", "training.batch_size=8", "exp_name=mine"])
    assert (config.training.lr, config.training.batch_size, config.name) == (0.5, 8, "mine")
