import json

from bilateral.training.records import RunRecords


def test_lines_of_epochs_that_are_done_again_are_dropped(tmp_path):
    records = RunRecords(tmp_path, 0, 0)
    for epoch in (1, 2, 3):
        records.epoch(epoch, epoch * 10, {"val_acc": epoch / 10}, {"train_s": 1.0})
    records.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "val_a')  # as a kill leaves it
    RunRecords(tmp_path, 2, 20).close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"epoch": 1, "val_acc": 0.1}, {"epoch": 2, "val_acc": 0.2}]
    assert len((tmp_path / "timing.jsonl").read_text().splitlines()) == 2


def test_tensorboard_reads_the_values_and_forgets_what_was_done_again(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    records = RunRecords(tmp_path, 0, 0)
    for epoch in (1, 2):
        records.epoch(epoch, epoch * 10, {"val_acc": epoch / 10}, {})
    records.close()
    records = RunRecords(tmp_path, 1, 10)
    records.epoch(2, 20, {"val_acc": 0.7}, {})
    records.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, round(event.value, 3)) for event in events.Scalars("val_acc")] == [(10, 0.1), (20, 0.7)]
