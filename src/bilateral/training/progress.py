"""The progress bar of a training run: loss, accuracy, images/s and time left. Silent where nobody watches."""

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingProgress:
    """A bar over all epochs of a run, on standard error, and only if that is a terminal; `quiet`: never."""

    def __init__(self, title: str, epochs: int, epochs_done: int, images_per_epoch: int, quiet: bool = False) -> None:
        self.epochs = epochs
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            TextColumn("loss {task.fields[loss]:.3f}  acc {task.fields[accuracy]}  {task.fields[speed]:,.0f} img/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=quiet or not sys.stderr.isatty(),
        )
        self.task = self.progress.add_task(
            title,
            total=epochs * images_per_epoch,
            completed=epochs_done * images_per_epoch,
            epoch=epochs_done,
            epochs=epochs,
            loss=float("nan"),
            accuracy="-",
            speed=0.0,
        )

    def __enter__(self) -> "TrainingProgress":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def advance(self, images: int, epoch: int, loss: float, accuracies: dict[str, float], speed: float) -> None:
        """Move on by `images`, in epoch `epoch` (from 1); accuracies are shares by level."""
        accuracy = " ".join(f"{level} {100 * share:.1f}%" for level, share in accuracies.items())
        self.progress.update(self.task, advance=images, epoch=epoch, loss=loss, accuracy=accuracy, speed=speed)
