"""Who is told a training's numbers while it runs: TensorBoard, a module with the interface of wandb, or nobody."""

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from ..base.errors import ConfigError
from ..base.files import writing

log = logging.getLogger(__name__)

TrackerName = Literal["tensorboard", "wandb", "trackio", "none"]


@dataclass(frozen=True)
class Tracking:
    """Which tracker a training has, and what it is told of the run beside its numbers: the project and the settings.

    >>> Tracking("trackio", "shapes", {"seed": 0}).project
    'shapes'
    """

    tracker: TrackerName = "tensorboard"
    project: str = "bilateral"
    settings: Mapping[str, Any] = field(default_factory=dict)


class Tracker:
    """Is told a training's numbers; this one does nothing with them."""

    def step(self, step: int, values: dict[str, float]) -> None:
        """Take values of one step, counted from 1 over all epochs."""

    def epoch(self, epoch: int, step: int, values: dict[str, float]) -> None:
        """Take the values of a finished epoch, counted from 1, and its last step."""

    def close(self) -> None:
        """End the record of this training, which may be interrupted."""


class EventFile(Tracker):
    """A new file of scalars in `folder`, in TensorBoard's format, written at once and by the thread that calls.

    forget_from: a step; TensorBoard drops what earlier files of the folder say of it and later ones. Raises OutputError
    where the folder cannot be written, as soon as that shows.
    """

    def __init__(self, folder: Path, forget_from: int) -> None:
        # These take long to import.
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        now = time.time()
        name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}"
        self.path = folder / name
        with writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb")
        self._records = RecordWriter(self._file)
        self._write(Event(wall_time=now, file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=now, step=forget_from, session_log=start))
        self._flush()

    def step(self, step: int, values: dict[str, float]) -> None:
        """Write named values of one step."""
        summary = self._summary(value=[self._summary.Value(tag=name, simple_value=v) for name, v in values.items()])
        self._write(self._event(wall_time=time.time(), step=step, summary=summary))

    def epoch(self, epoch: int, step: int, values: dict[str, float]) -> None:
        """Write the values of a finished epoch, and see that all is in the file."""
        self.step(step, values | {"epoch": epoch})
        self._flush()

    def close(self) -> None:
        """End the file."""
        with writing(self.path):
            self._file.close()

    def _flush(self) -> None:
        with writing(self.path):
            self._file.flush()

    def _write(self, event: object) -> None:
        with writing(self.path):
            self._records.write(event.SerializeToString())  # type: ignore[attr-defined]


class WandbTracker(Tracker):
    """A run in wandb, or in trackio, which has the same functions; one log call an epoch, with the epoch as its step.

    The run has the name of `folder`, so that a resumed training goes on in the same run. A tracker that fails in the
    middle of a training is left with a warning. Raises ConfigError where it is not installed or does not start.
    """

    def __init__(self, tracking: Tracking, folder: Path) -> None:
        name, run = tracking.tracker, folder.resolve()
        self._name, self._module, self._failed = name, find_tracker(name), False
        # trackio has no ids: it finds a run by its name.
        identity = {"id": run.name} if name == "wandb" else {}
        try:
            with redirect_stdout(sys.stderr):
                self._module.init(
                    project=tracking.project,
                    name=run.name,
                    group=run.parent.name,
                    config=dict(tracking.settings),
                    resume="allow",
                    **identity,
                )
        except Exception as error:
            raise ConfigError(f"tracker: {name} does not start: {error}; tracker=none trains without it") from error

    def epoch(self, epoch: int, step: int, values: dict[str, float]) -> None:
        """Log the values of a finished epoch."""
        self._call(lambda: self._module.log(values, step=epoch))

    def close(self) -> None:
        """Finish the run."""
        self._call(self._module.finish)

    def _call(self, call: Callable[[], object]) -> None:
        if self._failed:
            return
        try:
            with redirect_stdout(sys.stderr):
                call()
        except Exception as error:
            log.warning("tracker: %s failed, and the training goes on without it: %s", self._name, error)
            self._failed = True


def find_tracker(name: TrackerName) -> Any:
    """Give the module of wandb or trackio; None for a tracker that needs none. Raises ConfigError if it is missing."""
    if name in ("tensorboard", "none"):
        return None
    try:
        module = import_module(name)
        _ = module.init  # a folder of that name, such as wandb's own logs, can be imported too
    except (ImportError, AttributeError) as error:
        raise ConfigError(f'tracker: cannot import {name} ({error}); pip install "bilateral[{name}]"') from error
    return module
