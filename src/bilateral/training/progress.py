"""How far trainings are: a bar each, with loss, accuracy, images/s and time left. Silent where nobody watches."""

import sys
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..base import text


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
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            TextColumn("loss {task.fields[loss]:.3f}  acc {task.fields[accuracy]}  {task.fields[speed]:,.0f} img/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
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
            loss=float("nan"),
            accuracy="-",
            speed=0.0,
        )
        self.progress.start()

    def advance(
        self, key: str, images: int, epoch: int, loss: float, accuracies: dict[str, float], speed: float
    ) -> None:
        """Move a bar on."""
        accuracy = " ".join(f"{level} {100 * share:.1f}%" for level, share in accuracies.items())
        self.progress.update(self.bars[key], advance=images, epoch=epoch, loss=loss, accuracy=accuracy, speed=speed)

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
