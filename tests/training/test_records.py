import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from bilateral.base.errors import OutputError
from bilateral.training.records import RunRecords
from bilateral.training.tracker import Tracking


def test_lines_of_epochs_that_are_done_again_are_dropped(tmp_path):
    records = RunRecords(tmp_path, 0, 0, Tracking())
    for epoch in (1, 2, 3):
        records.epoch(epoch, epoch * 10, {"val_acc": epoch / 10}, {"train_s": 1.0})
    records.tracker.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "val_a')  # as a kill leaves it
    RunRecords(tmp_path, 2, 20, Tracking()).tracker.close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"epoch": 1, "val_acc": 0.1}, {"epoch": 2, "val_acc": 0.2}]
    assert len((tmp_path / "timing.jsonl").read_text().splitlines()) == 2


def test_tensorboard_reads_the_values_and_forgets_what_was_done_again(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    records = RunRecords(tmp_path, 0, 0, Tracking())
    for epoch in (1, 2):
        records.epoch(epoch, epoch * 10, {"val_acc": epoch / 10}, {})
    records.tracker.close()
    records = RunRecords(tmp_path, 1, 10, Tracking())
    records.epoch(2, 20, {"val_acc": 0.7}, {})
    records.tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, round(event.value, 3)) for event in events.Scalars("val_acc")] == [(10, 0.1), (20, 0.7)]


def test_a_folder_that_vanishes_is_an_error_that_names_it_and_no_thread_is_left_to_complain(tmp_path):
    before = threading.active_count()
    records = RunRecords(tmp_path / "run", 0, 0, Tracking())
    records.tracker.step(1, {"step_loss": 0.5})
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(OutputError, match=r"cannot write .*run.*: No such file or directory"):
        records.epoch(1, 10, {"val_acc": 0.1}, {"train_s": 1.0})
    records.tracker.close()
    assert threading.active_count() == before and not (tmp_path / "run").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_shows_at_the_next_epoch(tmp_path):
    records = RunRecords(tmp_path, 0, 0, Tracking())
    os.dup2(os.open("/dev/full", os.O_WRONLY), records.tracker._file.fileno())
    with pytest.raises(OutputError, match="no space left"):
        records.epoch(1, 10, {"val_acc": 0.1}, {"train_s": 1.0})


def test_a_pipe_in_place_of_a_record_is_no_reason_to_wait(tmp_path):
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(OutputError, match=r"metrics\.jsonl: it is a pipe"):
        RunRecords(tmp_path, 0, 0, Tracking())


def test_what_is_no_number_is_null(tmp_path):
    records = RunRecords(tmp_path, 0, 0, Tracking())
    records.epoch(1, 10, {"val_acc": float("nan")}, {})
    records.tracker.close()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"epoch": 1, "val_acc": null}\n'
