import json
from pathlib import Path

import pytest

from bilateral.benchmark.subject import HIERARCHY, measured_config
from bilateral.runs.config import Config, check_config
from bilateral.training.loop import TrainingJob

COUNT = HIERARCHY.fine_count
SMALL = {
    "data": {"num_workers": 1},
    "model": {"mode_hemis": "unilateral", "left": {"width": 0.0625}},
    "training": {"batch_size": 50, "precision": "float32", "device": "cpu", "lr": 0.01},
}


@pytest.fixture
def small() -> Config:
    """A network that trains on COUNT images in no time."""
    return measured_config(check_config(SMALL, "test"), COUNT)


class RecordedTraining:
    """Stands for `train`: remembers its jobs, and writes that their epochs took `seconds`."""

    def __init__(self, seconds: list[float]) -> None:
        self.seconds = seconds
        self.jobs: list[TrainingJob] = []

    def __call__(self, job: TrainingJob) -> None:
        self.jobs.append(job)
        Path(job.folder).mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"epoch": epoch, "train_s": value}) for epoch, value in enumerate(self.seconds, 1)]
        (job.folder / "timing.jsonl").write_text("\n".join(lines))


@pytest.fixture
def recorded() -> RecordedTraining:
    return RecordedTraining([4.0, 1.0, 2.0])
