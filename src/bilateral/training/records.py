"""What a run writes while it trains: metrics a line an epoch, timings, what its tracker is told."""

from pathlib import Path
from typing import Any

from ..base.files import open_plain, to_json, write_text, writing
from .tracker import EventFile, Tracker, Tracking, WandbTracker


class RunRecords:
    """The growing files of a run's folder, and its tracker, which is told values of single steps, and closed, directly.

    metrics.jsonl holds what the same run always gives to the last bit; timing.jsonl what it never does.
    Lines of epochs that a resumed run does again are dropped first.
    """

    def __init__(self, folder: Path, epochs_done: int, steps_done: int, tracking: Tracking) -> None:
        self.folder = folder
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for name in ("metrics.jsonl", "timing.jsonl"):
            path = folder / name
            if path.exists():
                # One line an epoch; what follows, perhaps cut short by a kill, is of epochs that were not done.
                with writing(path), open_plain(path) as file:
                    lines = file.read().decode("utf-8", errors="replace").splitlines(keepends=True)
                write_text(path, "".join(lines[:epochs_done]))
        self.tracker = Tracker()
        if tracking.tracker == "tensorboard":
            self.tracker = EventFile(folder / "tensorboard", forget_from=steps_done + 1)
        elif tracking.tracker != "none":
            self.tracker = WandbTracker(tracking, folder)

    def epoch(self, epoch: int, step: int, metrics: dict[str, float], timing: dict[str, float]) -> None:
        """Record a finished epoch (counted from 1)."""
        self.tracker.epoch(epoch, step, metrics | timing)
        self._append("metrics.jsonl", {"epoch": epoch, **metrics})
        self._append("timing.jsonl", {"epoch": epoch, **timing})

    def _append(self, name: str, line: dict[str, Any]) -> None:
        with writing(self.folder / name), (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(to_json(line) + "\n")
