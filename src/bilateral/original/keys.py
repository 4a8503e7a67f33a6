"""The original code's config keys, accepted for ever: each is mapped to ours here, or refused, or warned about."""

import warnings
from typing import Any

from ..base.errors import ConfigError

Values = dict[str, Any]

OUR_KEYS = {
    "exp_name": "name",
    "trainer_params.max_epochs": "training.epochs",
    "trainer_params.log_every_n_steps": "training.log_every_steps",
    "trainer_params.check_val_every_n_epoch": "training.validate_every_epochs",
    "trainer_params.accumulate_grad_batches": "training.accumulate_batches",
    "dataset.train_dir": "data.train_dir",
    "dataset.val_dir": "data.val_dir",
    "dataset.test_dir": "data.test_dir",
    "dataset.raw_data_dir": "data.raw_data_dir",
    "hparams.mode_out": "model.mode_out",
    "hparams.mode_heads": "model.mode_heads",
    "hparams.mode_hemis": "model.mode_hemis",
    "hparams.farch": "model.left.arch",
    "hparams.carch": "model.right.arch",
    "hparams.ffreeze": "model.left.freeze",
    "hparams.cfreeze": "model.right.freeze",
    "hparams.fine_k": "model.left.sparsity.k",
    "hparams.fine_per_k": "model.left.sparsity.per_k",
    "hparams.coarse_k": "model.right.sparsity.k",
    "hparams.coarse_per_k": "model.right.sparsity.per_k",
    "hparams.model_path_fine": "model.left.checkpoint",
    "hparams.model_path_coarse": "model.right.checkpoint",
    "hparams.model_path": "model.checkpoint",
    "hparams.dropout": "model.dropout",
    "hparams.lr": "training.lr",
    "hparams.weight_decay": "training.weight_decay",
    "hparams.warmup_epochs": "training.warmup_epochs",
    "hparams.batch_size": "training.batch_size",
    "hparams.num_workers": "data.num_workers",
    "ckpt_callback.save_top_k": "checkpoints.save_top_k",
    "ckpt_callback.monitor": "checkpoints.monitor",
    "ckpt_callback.mode": "checkpoints.mode",
    "ckpt_callback.save_last": "checkpoints.save_last",
}
"""Our key for each of the original's that has a single one."""
_ACCELERATORS = {"auto": "auto", "cpu": "cpu", "gpu": "cuda", "cuda": "cuda", "mps": "mps"}
DOCUMENTED_SECTIONS = ("exp_name", "trainer_params", "dataset", "logger", "hparams", "ckpt_callback")


def translate(raw: Values, source: str, from_original: bool = True) -> Values:
    """Give a config in our form for one that may use the original's keys, in whole or in part.

    from_original: it trains by `recipe: original` unless it says otherwise.
    Warns of keys that have no effect here; raises ConfigError for what cannot be had, and for a setting that is
    given in both forms.
    """
    documented = {section: raw[section] for section in DOCUMENTED_SECTIONS if section in raw}
    ours = {key: value for key, value in raw.items() if key not in documented}
    if not documented:
        return ours
    flat = dict(_flatten(documented, source))
    result: Values = {}
    for key, value in flat.items():
        if key in OUR_KEYS:
            if value is not None:
                _put(result, OUR_KEYS[key], value)
        else:
            _take_special(key, value, result, source)
    if from_original:
        result.setdefault("training", {}).setdefault("recipe", "original")
    if "dataset" in documented and any(result.get("data", {}).get(key) for key in ("train_dir", "test_dir")):
        result["data"]["name"] = "folders"
    mode = (ours.get("model") or {}).get("mode_hemis") if isinstance(ours.get("model"), dict) else None
    _settle_hemispheres(result, mode or result.get("model", {}).get("mode_hemis", "bilateral"), source)
    _settle_validation(result)
    return _merge(result, ours, source)


def _take_special(key: str, value: Any, result: Values, source: str) -> None:
    """Take a key whose values are not ours, or of which one value alone can be had."""
    if key == "trainer_params.accelerator":
        if value not in (None, *_ACCELERATORS):
            raise ConfigError(f"{key}: {value!r} is not one of {', '.join(_ACCELERATORS)}")
        _put(result, "training.device", _ACCELERATORS[value or "auto"])
    elif key == "trainer_params.devices":
        if value not in (None, "auto", 1, "1", [0]):
            raise ConfigError(f"{key}: a run uses one device, so only auto or 1 is allowed, not {value!r}")
    elif key == "trainer_params.default_root_dir":
        if value not in (None, "./runs", "runs", "None"):
            warn(f"{key} ({value}) has no effect: everything is written below save_dir")
    elif key == "logger.type":
        if value not in (None, "TensorBoardLogger"):
            raise ConfigError(f"{key}: only TensorBoardLogger is allowed, not {value!r}; `tracker` chooses others")
    else:
        raise ConfigError(f"{source}: {key}: not a key of the original code's configs")


def _settle_hemispheres(result: Values, mode: str, source: str) -> None:
    """Read the two hemispheres' settings as the original means them under its mode_hemis."""
    model = result.get("model", {})
    for side in ("left", "right"):
        hemisphere = model.get(side)
        if not hemisphere:
            continue
        shares = hemisphere.get("sparsity", {})
        # k-WTA is on only where both numbers are set and not 0.
        if not (shares.get("k") and shares.get("per_k")):
            if any(shares.values()):
                warn(f"{source}: k-WTA of the {side} hemisphere is off: its k and per_k must both be set and not 0")
            hemisphere.pop("sparsity", None)
        if not hemisphere.get("checkpoint"):
            hemisphere.pop("checkpoint", None)
    left, right = model.pop("left", {}), model.pop("right", {})
    if mode == "bilateral":
        model |= {side: values for side, values in (("left", left), ("right", right)) if values}
        return
    ignored = {key: value for key, value in right.items() if value not in (False, None)}
    if ignored:
        listed = ", ".join(f"{key} {value!r}" for key, value in ignored.items())
        warn(f"{source}: a network with mode_hemis: {mode} takes the fine settings; ignored: coarse {listed}")
    if mode == "ensemble":
        members = left.pop("checkpoint", None)
        if members is not None:
            model["members"] = members if isinstance(members, list) else [members]
        model.pop("dropout", None)
        return
    # The original's unilateral network loads hemisphere and head from this file.
    if left.get("checkpoint") and not left.get("freeze"):
        if model.get("checkpoint"):
            raise ConfigError(f"{source}: hparams.model_path and model_path_fine are two files for one network")
        model["checkpoint"] = left.pop("checkpoint")
    if left:
        model["left"] = left


def _settle_validation(result: Values) -> None:
    data = result.get("data", {})
    if data.get("val_dir") and data.get("val_dir") == data.get("test_dir"):
        del data["val_dir"]
        warn(
            "dataset.val_dir is the test folder: under protocol: clean a part of the training set validates instead, "
            "so that nothing is chosen on test data (protocol: original validates on the test set)"
        )


def _flatten(documented: Values, source: str) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for section, values in documented.items():
        if isinstance(values, dict):
            pairs += [(f"{section}.{key}", value) for key, value in values.items()]
        elif section == "exp_name":
            pairs.append((section, values))
        elif values is not None:
            raise ConfigError(f"{source}: {section} must hold keys and values, not {values!r}")
    return pairs


def _put(result: Values, key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        result = result.setdefault(section, {})
    result[last] = value


def _merge(mapped: Values, ours: Values, source: str, prefix: str = "") -> Values:
    merged = dict(mapped)
    for key, value in ours.items():
        if isinstance(value, dict) and isinstance(mapped.get(key), dict):
            merged[key] = _merge(mapped[key], value, source, f"{prefix}{key}.")
        elif key in mapped and mapped[key] != value and f"{prefix}{key}" not in _GIVEN_BY_TRANSLATION:
            raise ConfigError(f"{source}: {prefix}{key} is given twice, also by the original's name for it")
        else:
            merged[key] = value
    return merged


_GIVEN_BY_TRANSLATION = {"training.recipe", "data.name"}


def warn(message: str) -> None:
    """Warn of a setting that does not do what it says."""
    warnings.warn(message, UserWarning, stacklevel=2)
