"""Numbers over time in the file format that TensorBoard reads."""

import os
import socket
import time
from pathlib import Path

from ..base.files import writing
from .tracker import Tracker


class EventFile(Tracker):
    """A new file of scalars in `folder`, written at once and by the thread that calls; `forget_from` is a step.

    TensorBoard drops what earlier files of the folder say of that step and later ones. Raises OutputError where the
    folder cannot be written, as soon as that shows.
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
