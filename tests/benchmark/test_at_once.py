from bilateral.benchmark import at_once
from bilateral.benchmark.at_once import measure_at_once


def test_the_speeds_of_all_workers_add_up(small, monkeypatch):
    monkeypatch.setattr(at_once, "epoch_seconds", lambda folder: [9.0, 2.0, 1.0])
    assert measure_at_once(small, 100, workers=2) == {"at_once_images_per_s": 100.0, "at_once_trainings_count": 2}
