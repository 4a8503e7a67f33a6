"""How far trainings are: a line each with loss, training accuracy, time left; where there is room, a bar and images/s.

Silent where nobody watches.
"""

import sys
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from ..base import text

WIDE = 120
"""Columns of a terminal that has room for all."""


class ProgressDisplay(Protocol):
    """Where trainings, each with a `key` of its own, tell how far they are."""

    def start(self, key: str, title: str, epochs: int, epochs_done: int, images_per_epoch: int) -> None:
        """Begin a bar over all epochs."""

    def advance(
        self, key: str, images: int, epoch: int, loss: float, accuracies: dict[str, float], speed: float
    ) -> None:
        """Move on by `images`, in epoch `epoch` (from 1); accuracies are shares by level, speed in images/s."""

    def stop(self, key: str) -> None:
        """End the bar."""


class TerminalProgress:
    """Bars on standard error, if that is a terminal. watched: False shows none in any case."""

    def __init__(self, watched: bool = True) -> None:
        console = Console(stderr=True)
        wide = console.width >= WIDE
        self.progress = Progress(
            TextColumn("{task.description}", table_column=Column(overflow="ellipsis", no_wrap=True, ratio=1)),
            *([BarColumn(bar_width=24)] if wide else []),
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}{task.fields[state]}"),
            *([TextColumn("{task.fields[speed]}")] if wide else []),
            TimeRemainingColumn(),
            console=console,
            expand=not wide,
            disable=not (watched and sys.stderr.isatty()),
        )
        self.bars: dict[str, TaskID] = {}

    def start(self, key: str, title: str, epochs: int, epochs_done: int, images_per_epoch: int) -> None:
        """Begin a bar."""
        self.bars[key] = self.progress.add_task(
            title,
            total=epochs * images_per_epoch,
            completed=epochs_done * images_per_epoch,
            epoch=epochs_done,
            epochs=epochs,
            state="",
            speed="",
        )
        self.progress.start()

    def advance(
        self, key: str, images: int, epoch: int, loss: float, accuracies: dict[str, float], speed: float
    ) -> None:
        """Move a bar on."""
        accuracy = " ".join(f"{level} {100 * share:.0f}" for level, share in accuracies.items())
        state = f"  loss {loss:.2f}  train acc {accuracy} %"
        self.progress.update(self.bars[key], advance=images, epoch=epoch, state=state, speed=f"{speed:,.0f} img/s")

    def stop(self, key: str) -> None:
        """End a bar; with the last one, leave the terminal."""
        self.progress.stop_task(self.bars.pop(key))
        if not self.bars:
            self.close()

    def log(self, message: str) -> None:
        """Print a line above the bars."""
        self.progress.console.print(text.shown(message, lines=True), markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal, whatever goes on."""
        self.progress.stop()
        for bar in self.progress.task_ids:
            self.progress.remove_task(bar)
