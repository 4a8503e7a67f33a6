"""From a config to a network, and from a state to a network's tensors."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from ..base import own_code
from ..base.errors import CheckpointError, ConfigError, DataError
from ..base.memory import check_memory
from ..base.registry import read_options
from ..base.streams import derive_seed
from ..base.text import shown
from .backbones import build_backbone
from .backbones.base import Backbone
from .bridges.base import Bridge
from .component import Component
from .config import KindConfig, ModelConfig
from .connections import connect
from .joins.base import Join
from .lesions.base import Lesion
from .network import Network
from .parts.base import INPUT, Part
from .parts.dropout import Dropout
from .steps import Step, Values, stage_names

State = dict[str, Tensor]


def build_network(
    config: ModelConfig, fine_count: int, coarse_count: int, seed: int = 0, image_size: tuple[int, int] = (32, 32)
) -> Network:
    """Build a unilateral or bilateral network with fresh weights.

    Every part's weights derive from (seed, part), so a left hemisphere starts alike whatever stands beside it.
    image_size: (H, W), from which parts and bridges learn the shapes at their places. The network is on the CPU, in
    training mode; under `torch.device("meta")` it takes no memory. Raises ConfigError for settings that no backbone,
    part, bridge or join can have, OutOfMemoryError if there is no memory to train it.
    """
    if torch.get_default_device().type != "meta":
        with torch.device("meta"):
            check_fits(build_network(config, fine_count, coarse_count, 0, image_size))
    hemispheres: dict[str, Backbone] = {}
    for side, hemisphere in config.hemispheres.items():
        with _seeded(seed, "initialise", side):
            try:
                hemispheres[side] = build_backbone(hemisphere)
                if hemisphere.connections is not None:
                    connect(hemispheres[side], hemisphere.connections)
            except ConfigError as error:
                raise ConfigError(f"model.{side}.{error}") from error
    try:
        bridges = _add_parts_and_bridges(hemispheres, config, seed, image_size)
        sizes = {side: hemisphere.num_features for side, hemisphere in hemispheres.items()}
        with _seeded(seed, "initialise", "join"):
            join = _make(config.join, Join, "join", sizes)
        if not isinstance(getattr(join, "num_features", None), int):
            raise ConfigError(f"model.join: {config.join.kind!r} must have an int `num_features`, what the heads get")
        lesions = {name: _make(each, Lesion, f"lesions.{name}") for name, each in config.lesions.items()}
        for name, lesion in lesions.items():
            lesion.at, lesion.from_epoch = config.lesions[name].at, config.lesions[name].from_epoch
            if lesion.from_epoch is not None and not lesion.changes:
                lesion.keep_epoch()
        heads = {}
        classes = {"fine": fine_count, "coarse": coarse_count}
        for level in config.levels:
            with _seeded(seed, "initialise", level):
                heads[level] = build_head(level, join.num_features, classes[level], config.dropout)
        own_heads: dict[str, dict[str, nn.Module]] = {}
        for side, hemisphere in config.hemispheres.items():
            if hemisphere.own_head is not None:
                with _seeded(seed, "initialise", side, "own head"):
                    own_heads[side] = {
                        level: build_head(level, sizes[side], classes[level], config.dropout)
                        for level in (("fine", "coarse") if hemisphere.level == "both" else (hemisphere.level,))
                    }
        plasticity = {side: each.plasticity for side, each in config.hemispheres.items() if each.plasticity}
        frozen = [side for side, hemisphere in config.hemispheres.items() if hemisphere.freeze]
        outputs_features = config.mode_out == "feature"
        return Network(hemispheres, heads, frozen, bridges, join, lesions, outputs_features, own_heads, plasticity)
    except ValueError as error:
        raise ConfigError(f"model.{error}") from error


def _add_parts_and_bridges(
    hemispheres: Mapping[str, Backbone], config: ModelConfig, seed: int, image_size: tuple[int, int]
) -> dict[str, Bridge]:
    """Give every hemisphere its parts, and make the bridges: each as it stands behind those before it."""
    bridges: dict[str, Bridge] = {}
    for side, hemisphere in hemispheres.items():
        given = config.hemispheres[side].parts
        if given and hasattr(hemisphere, "parts"):
            raise ConfigError(f"model.{side}.arch: a backbone with an attribute `parts` of its own can have no parts")
        parts = nn.ModuleDict()
        for name, each in given.items():
            if name in (INPUT, *stage_names(hemisphere)):
                raise ConfigError(f"model.{side}.parts.{name}: a stage has this name; choose another")
            shape = _shapes({side: hemisphere}, {}, image_size, {side: each.after}, f"{side}.parts.{name}.after")[side]
            with _seeded(seed, "initialise", side, "part", name):
                part = _make(each, Part, f"{side}.parts.{name}", shape)
            part.after = each.after
            parts[name] = part
            hemisphere.parts = parts
    for name, bridge in config.bridges.items():
        if name in hemispheres:
            raise ConfigError(f"model.bridges.{name}: a side has this name; choose another")
        shapes = _shapes(hemispheres, bridges, image_size, bridge.between, f"bridges.{name}.between")
        with _seeded(seed, "initialise", "bridge", name):
            bridges[name] = _make(bridge, Bridge, f"bridges.{name}", shapes)
        bridges[name].between = bridge.between
    return bridges


def _shapes(
    hemispheres: Mapping[str, nn.Module],
    bridges: Mapping[str, Bridge],
    image_size: tuple[int, int],
    places: Mapping[str, str],
    key: str,
) -> dict[str, torch.Size]:
    """The shape of one image's values at a place of each side, by a pass without memory or arithmetic."""
    images = torch.empty(2, 3, *image_size, device="meta")
    found = dict.fromkeys(places, images.shape[1:])
    known = {side: [INPUT, *stage_names(hemisphere)] for side, hemisphere in hemispheres.items()}

    def note(step: Step, values: Values) -> None:
        found.update({side: values[side].shape[1:] for side, place in step.places.items() if places.get(side) == place})

    for side, place in places.items():
        if place not in known[side]:
            raise ConfigError(
                f"model.{key}: there is no stage {place!r} on the {side}; there are: {', '.join(known[side])}"
            )
    with torch.device("meta"):
        sketch = Network(copy.deepcopy(dict(hemispheres)), {}, bridges=copy.deepcopy(dict(bridges))).to("meta").eval()
    try:
        sketch.walk(dict.fromkeys(hemispheres, images), watch=note)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"model.{key}: the network does not get that far: {own_code.describe(error):.300}") from error
    return found


Kind = TypeVar("Kind", bound=Component)


def _make(config: KindConfig, base: Callable[..., Kind], key: str, *shape: object) -> Kind:
    """Make what a config names: `base` is the class that it must be of, `shape` what it gets beside its options."""
    kind = config.registry.find(config.kind, f"model.{key}.kind")
    if not (isinstance(kind, type) and issubclass(kind, cast(type[Kind], base))):
        raise ConfigError(f"model.{key}.kind: {config.kind!r} is no subclass of {base.__module__}:{base.__name__}")
    options = read_options(kind, config.options, f"model.{key}")
    ends = [each for given in shape for each in (given.values() if isinstance(given, dict) else [given])]
    if kind.needs_positions and any(isinstance(end, torch.Size) and len(end) != 3 for end in ends):
        raise ConfigError(f"model.{key}: there are no positions at this place; choose an earlier stage")
    try:
        return own_code.call(lambda: kind(options, *shape), f"model.{key}: {config.kind!r}")
    except ConfigError as error:
        where = "" if str(error).startswith("model.") else f"model.{key}: "
        raise ConfigError(f"{where}{error}") from error


def build_head(level: str, num_features: int, classes: int, dropout: float) -> nn.Sequential:
    """Dropout, then one linear layer: (B, num_features) -> (B, classes). Raises ConfigError for impossible sizes."""
    drop = Dropout(Dropout.Options(p=dropout), torch.Size([num_features]))
    try:
        return nn.Sequential(drop, nn.Linear(num_features, classes))
    except (RuntimeError, OverflowError) as error:
        raise ConfigError(f"no {level} head can have {num_features} features and {classes} classes") from error


def check_fits(network: nn.Module) -> None:
    """Raise OutOfMemoryError if a network on the meta device cannot be trained in the memory that is free.

    Of what is trained there are three: weights, gradients and the optimizer's state.
    """
    needed = sum(
        parameter.numel() * parameter.element_size() * (3 if parameter.requires_grad else 1)
        for parameter in network.parameters()
    )
    check_memory(needed, "the network", "a smaller model.left.width or model.right.width needs less")


def try_out(network: Network, config: ModelConfig, image_size: tuple[int, int], channels: int = 3) -> None:
    """Show a network the shape of two images (channels, H, W), without memory or arithmetic: on the meta device.

    Raises DataError if a backbone cannot take such images, ConfigError if its features are not what it says.
    """
    network.to("meta").eval()
    height, width = image_size
    for side, hemisphere in network.hemispheres.items():
        arch = config.hemispheres[side].arch
        try:
            features = hemisphere(torch.empty(2, channels, height, width, device="meta"))
        except (Exception, SystemExit) as error:
            raise DataError(
                f"model.{side}: {arch} cannot take images of {channels} channels and {height}x{width} pixels "
                f"({own_code.describe(error):.300}); resize them, or choose another backbone"
            ) from error
        expected = (2, hemisphere.num_features)
        if not isinstance(features, Tensor) or features.shape != expected or not features.is_floating_point():
            what = f"{features.dtype} {tuple(features.shape)}" if isinstance(features, Tensor) else type(features)
            raise ConfigError(
                f"model.{side}.arch: {arch!r} gives {what} for two images, where its num_features says {expected}"
            )
    done: list[Step] = []
    images = torch.empty(2, channels, height, width, device="meta")
    shapes = [{side: tuple(images.shape[1:]) for side in network.hemispheres}]

    def note(step: Step, values: Values) -> None:
        done.append(step)
        shapes.append({side: tuple(each.shape[1:]) for side, each in values.items() if isinstance(each, Tensor)})
        for side in step.places:
            if not isinstance(values[side], Tensor) or not values[side].is_floating_point():
                gave = getattr(values[side], "dtype", type(values[side]).__name__)
                raise ConfigError(
                    f"{_key(step)}: {type(step.module).__name__} must give a tensor of floats, not {gave}"
                )

    try:
        features = network.walk(dict.fromkeys(network.hemispheres, images), watch=note)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(_misfit(network.steps[len(done)], done, shapes, own_code.describe(error))) from error
    try:
        network.classify(features)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"model: its join and heads do not fit: {own_code.describe(error):.300}") from error


def _key(step: Step) -> str:
    """Where the config names a part or a bridge."""
    side, _, name = step.name.rpartition(".")
    return f"model.{side}.parts.{name}" if isinstance(step.module, Part) else f"model.bridges.{step.name}"


def _misfit(failed: Step, done: Sequence[Step], shapes: Sequence[Mapping[str, tuple[int, ...]]], why: str) -> str:
    """Say which part or bridge an error comes from: the one that fails, or the last one before a stage that does.

    shapes: by side, of the images and after each step that was done, without the batch.
    """
    if isinstance(failed.module, (Part, Bridge)):
        return f"{_key(failed)}: {type(failed.module).__name__} failed: {why:.300}"
    (side,) = failed.places
    for number, step in reversed([*enumerate(done, 1)]):
        if isinstance(step.module, (Part, Bridge)) and side in step.places:
            got, gave = (f"(B, {', '.join(map(str, shapes[place][side]))})" for place in (number - 1, number))
            misfit = f"what it gives does not fit into the stage {failed.name}: {gave}, where it got {got}"
            return f"{_key(step)}: {misfit} ({why:.300})"
    return f"model: nothing fits into the stage {failed.name}: {why:.300}"


def load_state(network: nn.Module, state: State, source: str, replace: bool = False) -> None:
    """Put `state` into the network, every tensor of it and no other.

    replace: make the state's tensors the network's own in place of copying them; for a network without memory.

    What is of another precision is brought into the network's. Raises CheckpointError, before anything is changed, as
    `check_state` does, and for numbers that are too large for that precision.
    """
    check_state(network, {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()}, source)
    own = network.state_dict()
    cast = {name: tensor.to(own[name].dtype) for name, tensor in state.items() if tensor.dtype != own[name].dtype}
    odd = not_finite(cast)
    if odd is not None:
        raise CheckpointError(f"{source} holds numbers in {odd} that are not finite as {own[odd].dtype}")
    network.load_state_dict(state | cast, assign=replace)


def not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Name the first tensor that holds NaN or infinity."""
    names = [name for name, tensor in tensors.items() if tensor.is_floating_point() and tensor.device.type != "meta"]
    if not names:
        return None
    finite = torch.stack([tensors[name].isfinite().all() for name in names]).tolist()
    return next((name for name, fine in zip(names, finite) if not fine), None)


def check_state(network: nn.Module, given: Mapping[str, tuple[Sequence[int], torch.dtype]], source: str) -> None:
    """See that tensors, `given` by shape and kind, are those of a network.

    Raises CheckpointError that names the tensors which are missing, left over, of another shape (both shapes), or
    whole numbers in place of floats.
    """
    own = network.state_dict()
    problems = [
        f"{name} is {tuple(given[name][0])} in the file and {tuple(tensor.shape)} in the network"
        for name, tensor in own.items()
        if name in given and tuple(given[name][0]) != tuple(tensor.shape)
    ]
    problems += [
        f"{name} is {given[name][1]} in the file and {tensor.dtype} in the network"
        for name, tensor in own.items()
        if name in given and given[name][1].is_floating_point != tensor.is_floating_point()
    ]
    problems += [f"{name} is missing in the file" for name in own if name not in given]
    problems += [f"{shown(name):.100} has no place in the network" for name in given if name not in own]
    if problems:
        more = f", and {len(problems) - 4} more" if len(problems) > 4 else ""
        raise CheckpointError(f"{source} does not fit the network: {'; '.join(problems[:4])}{more}")


def hemisphere_state(state: State, side: str, source: str) -> State:
    """Take one hemisphere's tensors out of a whole network's state.

    A network of one hemisphere gives that one, whichever side it was; one of two gives the one of the same side.
    """
    sides = {name.split(".")[1] for name in state if name.startswith("hemispheres.")}
    if not sides:
        raise CheckpointError(f"{source} holds no hemisphere")
    chosen = side if side in sides else sides.pop()
    prefix = f"hemispheres.{chosen}."
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


@contextmanager
def _seeded(seed: int, *purpose: str) -> Iterator[None]:
    """Run a block under its own random stream and restore torch's random state afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(derive_seed(seed, *purpose))
        yield
