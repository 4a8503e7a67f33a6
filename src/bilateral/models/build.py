"""From a config to a network, and from a state to a network's tensors."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..base.errors import CheckpointError, ConfigError
from ..base.streams import derive_seed
from .backbones import build_backbone
from .backbones.base import Backbone
from .config import ModelConfig
from .heads import build_head
from .macro import Bilateral, HemisphericNetwork, Unilateral

State = dict[str, Tensor]


def build_network(config: ModelConfig, fine_count: int, coarse_count: int, seed: int = 0) -> HemisphericNetwork:
    """Build a unilateral or bilateral network with fresh weights.

    Every part's weights derive from (seed, part), so a left hemisphere starts alike whatever stands beside it.
    The network is on the CPU, in training mode. Raises ConfigError for settings that a backbone does not have.
    """
    hemispheres: dict[str, Backbone] = {}
    for side, hemisphere in config.hemispheres.items():
        with _seeded(seed, "initialise", side):
            try:
                hemispheres[side] = build_backbone(hemisphere)
            except ConfigError as error:
                raise ConfigError(f"model.{side}.{error}") from error
    num_features = sum(hemisphere.num_features for hemisphere in hemispheres.values())
    heads = {}
    for level in config.levels:
        with _seeded(seed, "initialise", level):
            heads[level] = build_head(num_features, {"fine": fine_count, "coarse": coarse_count}[level], config.dropout)
    frozen = [side for side, hemisphere in config.hemispheres.items() if hemisphere.freeze]
    network_class = Bilateral if len(hemispheres) == 2 else Unilateral
    return network_class(hemispheres, heads, frozen, outputs_features=config.mode_out == "feature")


def load_state(network: nn.Module, state: State, source: str, replace: bool = False) -> None:
    """Put `state` into the network, every tensor of it and no other.

    replace: make the state's tensors the network's own in place of copying them; for a network without memory.

    Raises CheckpointError, before anything is changed, that names the tensors which are missing, left over,
    or of another shape (both shapes).
    """
    own = network.state_dict()
    problems = [
        f"{name} is {tuple(state[name].shape)} in the file and {tuple(own[name].shape)} in the network"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    problems += [f"{name} is missing in the file" for name in own if name not in state]
    problems += [f"{name} has no place in the network" for name in state if name not in own]
    if problems:
        more = f", and {len(problems) - 4} more" if len(problems) > 4 else ""
        raise CheckpointError(f"{source} does not fit the network: {'; '.join(problems[:4])}{more}")
    network.load_state_dict(state, assign=replace)


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
    state = torch.random.get_rng_state()
    torch.random.default_generator.manual_seed(derive_seed(seed, *purpose))
    try:
        yield
    finally:
        torch.random.set_rng_state(state)
