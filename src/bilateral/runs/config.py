"""The root of every config, and how it is read: file, overrides, checks, clear errors."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator

from ..base.errors import CheckpointError, ConfigError
from ..base.files import nearest
from ..base.own_code import is_own, refuse_strange
from ..base.section import Section, Seed, Text, UserPath, Whole
from ..base.yaml_files import YamlError, read_yaml, to_yaml
from ..data.config import DataConfig
from ..models.config import ModelConfig
from ..original.keys import DOCUMENTED_SECTIONS, translate
from ..training import checkpoint
from ..training.config import GIVEN_BY_RECIPES, RECIPES, CheckpointConfig, TrainingConfig
from ..training.tracker import TrackerName
from .experiment_config import ExperimentConfig
from .overrides import override, put
from .variants import settle


class PretrainingConfig(Section):
    """How `bilateral system` trains each hemisphere before they are joined.

    What a hemisphere's section does not set is as in `training`.
    """

    left: TrainingConfig
    right: TrainingConfig


class Config(Section):
    """Everything that determines an experiment, and where it is written."""

    name: Annotated[Text, Field(pattern=r"^[\w.+-]+$")] = "bilateral"
    """Begins the names of the folders of its runs."""
    seeds: list[Seed] = Field([0], min_length=1)
    save_dir: UserPath = Path("runs")
    workers: Annotated[Whole, Field(ge=1)] | Literal["auto"] = "auto"
    """Processes that do runs at the same time, each with its share of the threads; auto: what is fastest."""
    protocol: Literal["clean", "original"] = "clean"
    """clean: a held-out part of the training set chooses the checkpoint that is tested.
    original: as in the original code, the test set validates and the last epoch is tested; for comparison only."""
    train: bool = True
    """Train each network. False: it is only tested, with the weights of `model.checkpoint`."""
    evaluate: bool = True
    """Test each network after its training."""
    tracker: TrackerName = "tensorboard"
    """Who is told each epoch's numbers, beside the run's own files. It changes no result."""
    own_code: list[Text] = Field([])
    """Backbones of your own, `package.module:Class`, that checkpoints named here may need (an ensemble's members)."""
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig
    pretraining: PretrainingConfig
    checkpoints: CheckpointConfig = CheckpointConfig()
    experiment: ExperimentConfig | None = None
    """Read by `bilateral experiment` alone; None: all of its settings are the defaults."""

    @model_validator(mode="before")
    @classmethod
    def _inherit_training(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        given = {key: value for key, value in given.items() if value is not None}
        training, pretraining = given.get("training", {}), given.get("pretraining", {})
        if not isinstance(training, dict) or not isinstance(pretraining, dict):
            return given
        sides = {side: _inherit(training, pretraining.get(side)) for side in ("left", "right")}
        given = {**given, "training": training, "pretraining": {**pretraining, **sides}}
        experiment = given.get("experiment")
        if isinstance(experiment, dict):
            whole = _inherit(training, experiment.get("end_to_end"))
            tuned = _inherit(whole, experiment.get("fine_tuning")) if isinstance(whole, dict) else whole
            given["experiment"] = {**experiment, "end_to_end": whole, "fine_tuning": tuned}
        return given

    @model_validator(mode="after")
    def _check_consistency(self) -> "Config":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: {self.seeds} lists a seed twice")
        if self.protocol == "clean" and self.checkpoints.save_top_k == 0 and self.model.mode_hemis != "ensemble":
            raise ValueError("protocol: clean tests the best checkpoint, so checkpoints.save_top_k must not be 0")
        if self.model.mode_hemis == "ensemble" and (len(self.seeds) > 1 or not self.evaluate):
            raise ValueError("an ensemble is tested, not trained: `seeds` must be a list of one, `evaluate` true")
        if not self.train and not (self.model.checkpoint and self.evaluate):
            raise ValueError("train: false tests the weights of `model.checkpoint`: give these, and `evaluate: true`")
        if self.protocol == "original":
            unread = {"val_dir", "validation_fraction", "split_seed"} & self.data.changed_fields()
            if unread:
                raise ValueError(f"protocol: original validates on the test set, so data.{unread.pop()} has no effect")
        return self

    @property
    def named_code(self) -> set[str]:
        """The `package.module:Object` names in it that are of the user's own code."""
        names = {self.data.name, *self.model.kinds}
        return {name for name in names if is_own(name)}


_ARCHITECTURE = {"arch", "width", "sparsity", "connections", "options"}
"""What of a hemisphere's settings a checkpoint of it knows."""
ConfigSource = Path | str | Mapping[str, Any] | Config
"""A YAML file, its content as a dict, or a config that was read before."""


def read_config(given: ConfigSource | None, overrides: Sequence[str] = ()) -> Config:
    """Read a config, in our form or as the original code ships it, with `key=value` overrides on top.

    Raises ConfigError that says in which file and key, what is wrong and what is allowed.

    >>> read_config({"training": {"epochs": 3}}, ["seeds=[1, 2]"]).seeds
    [1, 2]
    """
    if isinstance(given, Config):
        given = given.model_dump(mode="json")
    path, raw = (None, dict(given)) if isinstance(given, Mapping) else (given, _read_yaml(Path(given)) if given else {})
    named = str(path or ("the command line" if given is None else "the config"))
    if _PACKAGE in Path(named).parents:  # whose place says nothing to a user
        named = f"the built-in {Path(named).name}"
    source = f"{named} and the command line" if overrides and given is not None else named
    from_original = any(section in raw for section in DOCUMENTED_SECTIONS)
    documented = [override for override in overrides if is_documented(override)]
    values = translate(override(raw, documented, Config), source, from_original)
    ours = [text for text in overrides if text not in documented]
    return check_config(override(values, ours, Config), source, [text.partition("=")[0] for text in overrides])


def is_documented(override: str) -> bool:
    """Whether a `key=value` override uses one of the original code's keys."""
    return override.partition("=")[0].split(".")[0] in DOCUMENTED_SECTIONS


def check_config(values: dict[str, Any], source: str, typed: Sequence[str] = ()) -> Config:
    """Check a config in our form. typed: keys of it that come from the command line, whatever the source.

    Raises ConfigError that names every wrong key at once.
    """
    config = _check(values, source, typed)
    if config.experiment is None or not config.experiment.variants:
        return config
    try:
        settings = settle(config, config.experiment, values, _check)
    except ConfigError as error:
        raise ConfigError(f"{source}: " + str(error).replace("\n", f"\n{source}: ")) from None
    return config.model_copy(update={"experiment": settings})


def with_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """Give a resolved config in which some settings are others, by dotted keys; nothing inherits from these.

    >>> with_settings(check_config({}, "an example"), {"training.epochs": 3}).training.epochs
    3
    """
    if not settings:
        return config
    values = config.model_dump(mode="json")
    for key, value in settings.items():
        put(values, key.split("."), value, key)
    return _check(values, config.name)


def _check(values: dict[str, Any], source: str, typed: Sequence[str] = ()) -> Config:
    try:
        return _with_architectures(Config.model_validate(values))
    except ValidationError as error:
        problems: dict[str, None] = {}
        for problem in map(_explain, _own_problems(error.errors())):
            key = problem.partition(": ")[0]
            is_typed = any(f"{key}.".startswith(f"{each}.") for each in typed)
            problems[f"{'the command line' if is_typed else source}: {problem}"] = None
        raise ConfigError("\n".join(problems)) from None


def _with_architectures(config: Config) -> Config:
    """Take what a config leaves open of the architecture of a hemisphere from the checkpoint that it names for it.

    A checkpoint that cannot be read is refused where the whole plan is checked.
    """
    update = {}
    for side, hemisphere in config.model.hemispheres.items():
        stated = hemisphere.model_fields_set
        left_open = ({"width"} if "arch" in stated else _ARCHITECTURE) - stated
        if hemisphere.checkpoint is None or not left_open:
            continue
        try:
            known = checkpoint.read(hemisphere.checkpoint).description.model.of_side(side)
        except CheckpointError:
            continue
        if "arch" in left_open:
            refuse_strange([known.arch], config.own_code, str(hemisphere.checkpoint), CheckpointError)
        update[side] = hemisphere.model_copy(update={key: getattr(known, key) for key in left_open})
    return config.model_copy(update={"model": config.model.model_copy(update=update)}) if update else config


def dump_config(config: Config) -> str:
    """Write a resolved config as YAML that `read_config` reads back to the same."""
    return to_yaml(config.model_dump(mode="json", exclude_none=True))


def _own_problems(problems: list[Any]) -> list[Any]:
    """Leave out what only follows from another problem: what is inherited from `training`, what is missing for it."""
    for section, heirs in _HEIRS.items():
        if any(problem["loc"][: len(section)] == section for problem in problems):
            problems = [each for each in problems if each["loc"][:1] not in heirs and each["loc"][:2] not in heirs]
    first_hand = [problem for problem in problems if problem["type"] != "missing"]
    return first_hand or problems


_HEIRS: dict[tuple[str, ...], list[tuple[str, ...]]] = {
    ("training",): [("pretraining",), ("experiment", "end_to_end"), ("experiment", "fine_tuning")],
    ("experiment", "end_to_end"): [("experiment", "fine_tuning")],
}


def _inherit(training: dict[str, Any], own: Any) -> Any:
    if own is None:
        return training
    if not isinstance(own, dict):
        return own
    if own.get("recipe", training.get("recipe", "fast")) != training.get("recipe", "fast"):
        # Another recipe brings settings of its own, which what was chosen for this one must not displace.
        training = {key: value for key, value in training.items() if key not in GIVEN_BY_RECIPES}
    if _optimizer(own, training) != _optimizer(training):
        # Rates of one optimizer say nothing of another's.
        training = {key: value for key, value in training.items() if key not in ("lr", "muon_lr")}
    return {**training, **own}


def _optimizer(training: dict[str, Any], inherited: dict[str, Any] | None = None) -> Any:
    """The optimizer that a section has, of its own or inherited, or from its recipe."""
    recipe = training.get("recipe") or (inherited or {}).get("recipe") or "fast"
    by_recipe = RECIPES[recipe]["optimizer"] if recipe in tuple(RECIPES) else None
    return training.get("optimizer") or (inherited or {}).get("optimizer") or by_recipe


def _hint(path: Path) -> str:
    """What a config's path that cannot be read may have meant, as the end of a sentence."""
    if path.exists():
        return ""
    presets = {preset.stem: preset.relative_to(PRESETS.parent).as_posix() for preset in PRESETS.rglob("*.yaml")}
    near = difflib.get_close_matches(path.stem, presets, n=1)
    others = "; `bilateral info` lists the presets" if path.parts[:1] == (PRESETS.name,) else ""
    return nearest(path) or (f"; did you mean {presets[near[0]]}?" if near else others)


def _read_yaml(path: Path) -> dict[str, Any]:
    is_preset = path.parts[:1] == (PRESETS.name,)
    try:
        try:
            raw = read_yaml(path)
        except (FileNotFoundError, NotADirectoryError):
            if not is_preset:
                raise
            raw = read_yaml(PRESETS.parent / path)
    except OSError as error:
        raise ConfigError(f"cannot read the config {path}: {error.strerror or error}{_hint(path)}") from error
    except YamlError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if raw is None:
        raise ConfigError(f"{path} is empty; it must hold keys and values, such as `seeds: [0]`")
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold keys and values, such as `seeds: [0]`; it holds one {_KINDS[type(raw)]}")
    return raw


_PACKAGE = Path(__file__).parents[1]
PRESETS = _PACKAGE / "configs"
"""The presets, which `configs/...` names where the working folder has no such file."""
_KINDS = {list: "list", str: "text", bool: "value", int: "number", float: "number"}


def _explain(problem: Any) -> str:
    path = [str(part) for part in problem["loc"] if str(part) not in _UNION_TAGS]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        known = _SECTIONS.get(tuple(path[:-1])) or _SECTIONS.get((*path[:-2], "*"), [])
        known = known if path[:-1] else [*known, *DOCUMENTED_SECTIONS]
        near = difflib.get_close_matches(path[-1], known, n=1)
        section = ".".join(path[:-1])
        elsewhere = difflib.get_close_matches(path[-1], _ALL_KEYS, n=1, cutoff=0.9)
        if near:
            hint = f"did you mean {'.'.join([*path[:-1], near[0]])}?"
        elif elsewhere:
            hint = f"did you mean {_ALL_KEYS[elsewhere[0]]}?"
        else:
            hint = f"allowed {'in ' + section if section else 'here'}: {', '.join(known)}"
        return f"{key}: unknown key; {hint}"
    if problem["type"] == "missing" and isinstance(problem["input"], dict):
        written = dict(problem["input"])
        if "kind" in written:  # whose options have been read, and stand among its own keys in a config
            written |= {name: value for name, value in written.pop("options", {}).items() if value is not None}
        section = to_yaml({**written, path[-1]: "VALUE"}, in_line=True).strip()
        return f"{key}: is missing; write {'.'.join(path[:-1])}: {section}"
    if problem["type"] == "list_type":
        is_range = key == "seeds" and not str(problem["input"]).isdecimal()
        example = "seeds=[0, 1, 2], or --seeds 3 for the first three" if is_range else f"{key}=[{problem['input']}]"
        return f"{key}: must be a list, not {problem['input']}, such as {example}"
    message = problem["msg"].removeprefix("Value error, ")
    given = "" if problem["type"] == "value_error" else f", not {problem['input']!r}"
    return f"{key}: {message}{given}" if key else message


def _sections(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> dict[tuple[str, ...], list[str]]:
    found = {prefix: [field.alias or name for name, field in model.model_fields.items()]}
    for name, field in model.model_fields.items():
        of_any_name = ("*",) if get_origin(field.annotation) is dict else ()
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= _sections(part, (*prefix, name, *of_any_name))
    return found


_SECTIONS = _sections(Config)
_ALL_KEYS = {
    key: ".".join([*section, key])
    for section, keys in reversed(_SECTIONS.items())
    for key in keys
    if "*" not in section
}
# Parts of pydantic's locations that are no key: they stand for a member of a union, or say that a key is wrong.
_UNION_TAGS = {"constrained-float", "function-after", "literal['original']", "float", "number", "schedule", "[key]"}
