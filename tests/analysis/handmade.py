"""Studies made by hand: their predictions, networks and images are whatever a test chooses, and nothing is run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bilateral.analysis.study import Study, StudyRow, System
from bilateral.data.augment import Normalisation
from bilateral.data.hierarchy import LabelHierarchy
from bilateral.data.images import HierarchicalDataset, HierarchicalImages
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.models.network import Network
from bilateral.runs.config import check_config
from bilateral.runs.predictions import Predictions
from bilateral.runs.stored import StoredRun
from bilateral.training.checkpoint import Description
from bilateral.training.run_record import RecordedData, RunRecord
from conftest import COARSE_OF_FINE, make_images

HIERARCHY = LabelHierarchy(tuple("abcdef"), ("x", "y", "z"), COARSE_OF_FINE)
CPU = torch.device("cpu")
COUNTS = {"fine": 6, "coarse": 3}
SMALL = {"left": {"width": 0.0625}, "right": {"width": 0.0625}}


def answers(labels: list[int], **answered: list[int]) -> Predictions:
    """What networks said of images with fine `labels`: fine=[...], coarse=[...], with certainty."""
    truth = torch.tensor(labels)
    logits = {level: 9 * torch.eye(COUNTS[level])[torch.tensor(said)] for level, said in answered.items()}
    return Predictions(logits, {"fine": truth, "coarse": torch.tensor(COARSE_OF_FINE)[truth]})


def judged(labels: list[int], **right: list[int]) -> Predictions:
    """The same, given which answers (1) are right: fine=[1, 0, ...]; the wrong ones are one class too high."""
    of_level = {"fine": labels, "coarse": [COARSE_OF_FINE[label] for label in labels]}
    said = {
        level: [(truth + 1 - good) % COUNTS[level] for truth, good in zip(of_level[level], given)]
        for level, given in right.items()
    }
    return answers(labels, **said)


def random_predictions(labels: Tensor, seed: int, levels: tuple[str, ...] = ("fine", "coarse")) -> Predictions:
    """Logits that favour the right class on some images."""
    generator = torch.Generator().manual_seed(seed)
    truth = {"fine": labels, "coarse": torch.tensor(COARSE_OF_FINE)[labels]}
    logits = {
        level: torch.randn(len(labels), COUNTS[level], generator=generator) + 1.5 * torch.eye(COUNTS[level])[values]
        for level, values in truth.items()
        if level in levels
    }
    return Predictions(logits, truth)


def record(identity: str, seed: int) -> RunRecord:
    data = RecordedData(name="made", fingerprint="f")
    return RunRecord(id=identity, kind="k", role="r", seed=seed, data=data, metrics={})


def stored_run(seed: int, predictions: Predictions | None = None, identity: str = "") -> StoredRun:
    """A run whose predictions need no file."""
    made = StoredRun(Path("runs") / "group" / f"seed{seed}", record(identity or f"id{seed}", seed))
    made.__dict__["predictions"] = predictions
    mean = (0.2, 0.2, 0.2)
    model = ModelConfig.model_validate(SMALL)
    made.__dict__["description"] = Description(model, 6, 3, HIERARCHY, Normalisation(mean, mean), (16, 16))
    return made


def study(
    said: Mapping[int, Mapping[str, Predictions | None]],
    networks: Mapping[int, Network] | None = None,
    folder: Path = Path("nowhere"),
    others: Mapping[str, Mapping[int, Predictions]] | None = None,
    images: HierarchicalImages | None = None,
) -> Study:
    """A study of bilateral networks, by seed.

    said: by seed the predictions of left, right and bilateral. others: more rows, by name and seed.
    """
    rows, runs = {}, {}
    for role, name in (("left", "left"), ("right", "right"), ("bilateral", "specialised")):
        runs[role] = {seed: stored_run(seed, own.get(role), f"{role}{seed}") for seed, own in said.items()}
        rows[name] = StudyRow(name, f"the {role}", {seed: [run] for seed, run in runs[role].items()}, _first)
    for name, by_seed in (others or {}).items():
        made = {seed: [stored_run(seed, each, f"{name}{seed}")] for seed, each in by_seed.items()}
        rows[name] = StudyRow(name, f"the {name}", made, _first)
    config = check_config({"training": {"device": "cpu"}}, "test")
    found = Study("made", folder, rows, "specialised", config)
    systems = [
        System(seed, runs["bilateral"][seed], {side: runs[side][seed] for side in ("left", "right")}, CPU)
        for seed in said
    ]
    for system in systems:
        if networks:
            system.__dict__["network"] = networks[system.seed]
    shown = images or make_images(4, 1)
    mean = (0.2, 0.2, 0.2)
    found.__dict__["dataset"] = HierarchicalDataset(
        "made", HIERARCHY, make_images(6, 0, shown.images.shape[2]), shown, mean, mean
    )
    found.__dict__["systems"] = systems
    return found


def _first(predictions: Any, _: LabelHierarchy) -> Predictions:
    return predictions[0]


def network(left: dict | None = None, right: dict | None = None, seed: int = 0) -> Network:
    """A bilateral network with fresh weights, of 6 fine and 3 coarse classes, in evaluation mode."""
    sides = {"left": {"width": 0.0625} | (left or {}), "right": {"width": 0.0625} | (right or {})}
    made = build_network(ModelConfig.model_validate(sides), COUNTS["fine"], COUNTS["coarse"], seed)
    return made.eval().requires_grad_(False)


def fit_heads(network: Network, features: Mapping[str, Tensor], images: HierarchicalImages) -> None:
    """Make the heads name these images by their labels: least squares from the joined features."""
    joined = torch.cat(list(features.values()), 1).double()
    # Of the least norm: a lost unit is a column of zeros, for which another solver takes any weight.
    inverse = torch.linalg.pinv(torch.cat([joined, torch.ones(len(joined), 1)], 1))
    for level, labels in (("fine", images.fine), ("coarse", images.coarse)):
        solved = (inverse @ torch.eye(COUNTS[level])[labels].double()).T.float()
        with torch.no_grad():
            network.heads[level][1].weight.copy_(solved[:, :-1])
            network.heads[level][1].bias.copy_(solved[:, -1])


class Corner(nn.Module):
    """A hemisphere that sees a quarter of the image alone; its maps are the image in blocks of 4x4."""

    stages = ("maps", "pool")
    num_features = 3

    def __init__(self, top: bool, left: bool, size: int = 16) -> None:
        super().__init__()
        self.maps = nn.AvgPool2d(4)
        self.pool = _SeenCorner(top, left, size // 8)

    def forward(self, images: Tensor) -> Tensor:
        return self.pool(self.maps(images))


class _SeenCorner(nn.Module):
    def __init__(self, top: bool, left: bool, half: int) -> None:
        super().__init__()
        self.rows = slice(0, half) if top else slice(half, None)
        self.columns = slice(0, half) if left else slice(half, None)

    def forward(self, maps: Tensor) -> Tensor:
        return maps[:, :, self.rows, self.columns].mean((2, 3))


def corner_network() -> Network:
    """Left sees the top left quarter, right the bottom right one; logits rise with brightness."""
    heads = {level: nn.Linear(6, count) for level, count in COUNTS.items()}
    for head in heads.values():
        nn.init.constant_(head.weight, 0.1)
        nn.init.zeros_(head.bias)
        with torch.no_grad():
            head.weight[0] += 1
    made = Network({"left": Corner(True, True), "right": Corner(False, False)}, heads)
    return made.eval().requires_grad_(False)
