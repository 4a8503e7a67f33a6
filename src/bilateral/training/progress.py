"""How far trainings are: a line each with loss, training accuracy, time left; where there is room, a bar and images/s.

Where standard error is no terminal, the log has a line now and then.
"""

import logging
import sys
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from ..base import text
from ..base.text import duration

log = logging.getLogger(__name__)

WIDE = 120
"""Columns of a terminal that has room for all."""
LINE_S, LONG_EPOCH_S = 60.0, 600.0
"""How long the log says nothing of a training, at least: until the end of an epoch, and in the middle of one."""


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
    """Bars on standard error, or lines on the log where that is no terminal. watched: False shows neither."""

    def __init__(self, watched: bool = True) -> None:
        self.logged = watched and not sys.stderr.isatty()
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
            begun=epochs_done * images_per_epoch,
            told=0.0,
        )
        self.progress.start()

    def advance(
        self, key: str, images: int, epoch: int, loss: float, accuracies: dict[str, float], speed: float
    ) -> None:
        """Move a bar on."""
        accuracy = " ".join(f"{level} {100 * share:.0f}" for level, share in accuracies.items())
        state = f"  loss {loss:.2f}  train acc {accuracy} %"
        self.progress.update(self.bars[key], advance=images, epoch=epoch, state=state, speed=f"{speed:,.0f} img/s")
        if self.logged:
            (task,) = (each for each in self.progress.tasks if each.id == self.bars[key])
            self._log_now_and_then(task, f"loss {loss:.2f}, training accuracy {accuracy} %")

    def _log_now_and_then(self, task: Task, state: str) -> None:
        fields, elapsed, total = task.fields, task.elapsed or 0.0, task.total or 0.0
        epoch, epochs = fields["epoch"], fields["epochs"]
        epoch_ends = task.completed * epochs >= total * epoch
        if elapsed - fields["told"] >= (LINE_S if epoch_ends else LONG_EPOCH_S):
            fields["told"] = elapsed
            left = duration(elapsed * (total - task.completed) / (task.completed - fields["begun"]))
            log.info("%s: epoch %d of %d, %s, about %s left", task.description, epoch, epochs, state, left)

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
