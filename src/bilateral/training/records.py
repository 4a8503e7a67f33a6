"""What a run writes while it trains: metrics a line an epoch, timings, TensorBoard events."""

import json
from pathlib import Path
from typing import Any

from ..base.files import write_text, writing


class RunRecords:
    """The growing files of a run's folder.

    metrics.jsonl holds what the same run always gives to the last bit; timing.jsonl what it never does.
    Lines of epochs that a resumed run does again are dropped first.
    """

    def __init__(self, folder: Path, epochs_done: int, steps_done: int) -> None:
        self.folder = folder
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for name in ("metrics.jsonl", "timing.jsonl"):
            self._keep_epochs(folder / name, epochs_done)
        from torch.utils.tensorboard import SummaryWriter  # takes seconds to import

        with writing(folder / "tensorboard"):
            self.tensorboard = SummaryWriter(folder / "tensorboard", purge_step=steps_done + 1)

    def step(self, step: int, values: dict[str, float]) -> None:
        """Record values of one step in TensorBoard."""
        with writing(self.folder / "tensorboard"):
            for name, value in values.items():
                self.tensorboard.add_scalar(name, value, step)

    def epoch(self, epoch: int, step: int, metrics: dict[str, float], timing: dict[str, float]) -> None:
        """Record a finished epoch (counted from 1)."""
        self.step(step, metrics | timing | {"epoch": epoch})
        with writing(self.folder / "tensorboard"):
            self.tensorboard.flush()
        self._append("metrics.jsonl", {"epoch": epoch, **metrics})
        self._append("timing.jsonl", {"epoch": epoch, **timing})

    def close(self) -> None:
        """End the TensorBoard file."""
        self.tensorboard.close()

    def _append(self, name: str, line: dict[str, Any]) -> None:
        with writing(self.folder / name), (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    @staticmethod
    def _keep_epochs(path: Path, epochs_done: int) -> None:
        if path.exists():
            # One line an epoch; what follows, perhaps cut short by a kill, is of epochs that were not done.
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
            write_text(path, "".join(lines[:epochs_done]))
