"""Where a bilateral network's parameters and arithmetic lie: stage by stage, and in the heads."""

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..models.build import build_network
from ..models.config import SIDES
from ..models.cost import step_costs
from .study import Study
from .style import COLOURS, panels

RESTS_ON: tuple[str, ...] = ()


def compute(study: Study) -> pd.DataFrame:
    """One line a part: the shape of what it gives for an image, parameters, trainable ones, multiply-adds of a pass."""
    description = study.systems[0].bilateral.description
    size = description.image_size
    with torch.device("meta"):
        network = build_network(description.model, description.fine_count, description.coarse_count, image_size=size)
    costs, features = step_costs(network.to("meta").eval(), torch.empty(1, 3, *size, device="meta"))
    lines = []
    for step in sorted(network.steps, key=lambda step: (len(step.places), *step.places)):
        cost = costs[step.name]
        shape = " and ".join("x".join(map(str, each)) for each in cost.shapes.values())
        where, part = ("bridges", step.name) if len(step.places) > 1 else step.name.split(".", 1)
        lines.append((where, part, shape, *_count(step.module), cost.flops // 2))
    with FlopCounterMode(display=False) as counter:
        joined = network.joined(features)
    if any(True for _ in network.join.parameters()):
        lines.append(("join", "join", str(joined.shape[1]), *_count(network.join), counter.get_total_flops() // 2))
    for level, head in network.heads.items():
        with FlopCounterMode(display=False) as counter:
            logits = head(joined)
        lines.append(("heads", level, str(logits.shape[1]), *_count(head), counter.get_total_flops() // 2))
    columns = ["where", "part", "output", "parameters", "trainable_parameters", "multiply_adds"]
    return pd.DataFrame(lines, columns=columns)


def _count(module: nn.Module) -> tuple[int, int]:
    parameters = list(module.parameters())
    return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)


def draw(table: pd.DataFrame) -> Figure:
    """Parameters and multiply-adds of every part."""
    figure, axes = panels(2, height=0.8 + 0.2 * len(table))
    labels = table["where"] + ": " + table["part"] + " (" + table["output"].astype(str) + ")"
    colours = [COLOURS[where] if where in SIDES else COLOURS["bilateral"] for where in table["where"]]
    titles = {"parameters": "parameters", "multiply_adds": "multiply-adds of an image"}
    for panel, (column, title) in zip(axes, titles.items()):
        bars = panel.barh(range(len(table)), table[column], color=colours)
        panel.bar_label(bars, [f" {value:,}" for value in table[column]], fontsize=6)
        panel.set(title=title, ylim=(len(table) - 0.5, -0.5))
        panel.margins(x=0.25)
        panel.set_yticks(range(len(table)), labels, fontsize=7)
    return figure


def tell(table: pd.DataFrame) -> str:
    """Say how much there is, what of it is trained, and where most of it lies."""
    return (
        f"Most parameters are in {_largest(table, 'parameters')}, and most multiply-adds in "
        f"{_largest(table, 'multiply_adds')}. The bilateral network has {table['parameters'].sum():,} parameters, of "
        f"which {table['trainable_parameters'].sum():,} are trained with the heads. One image takes "
        f"{table['multiply_adds'].sum():,} multiply-adds."
    )


def _largest(table: pd.DataFrame, column: str) -> str:
    """The parts that have most of something, with their share of all."""
    largest = table[table[column] == table[column].max()]
    names = [f"{part} ({'/'.join(own['where'])})" for part, own in largest.groupby("part", sort=False)]
    others = f" and {len(names) - 2} more" if len(names) > 2 else ""
    share = 100 * table[column].max() / table[column].sum()
    return f"{', '.join(names[:2])}{others}: {share:.0f} %{' each' if len(largest) > 1 else ''}"
