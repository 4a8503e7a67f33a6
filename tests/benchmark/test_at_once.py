import pytest

from bilateral.base.errors import WorkerError
from bilateral.benchmark.at_once import epochs_per_s, measure_at_once


def test_only_the_time_in_which_all_train_counts():
    # The second starts late: together they train from 14 to 20, in which the first does 3 epochs and the second 6.
    assert epochs_per_s([[2, 4, 6, 8, 10, 12, 14, 16, 18, 20], [14, 15, 16, 17, 18, 19, 20, 21]]) == pytest.approx(1.5)
    with pytest.raises(WorkerError, match="not go on at the same time"):
        epochs_per_s([[1, 2, 3], [3, 4]])


def test_a_real_measurement(small):
    measured = measure_at_once(small, 400, workers=2, epochs=30)
    assert measured["at_once_trainings_count"] == 2
    assert measured["at_once_images_per_s"] > 50
