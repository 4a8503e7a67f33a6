import os
import subprocess

import pytest

from bilateral.base.errors import WorkerError
from bilateral.base.openmp import DEFAULT_SPINS
from bilateral.benchmark import company
from bilateral.benchmark.company import epochs_per_s, measure_at_once

pytestmark = pytest.mark.slow


def test_only_the_time_in_which_all_train_counts():
    # The second starts late: together they train from 14 to 20, in which the first does 3 epochs and the second 6.
    assert epochs_per_s([[2, 4, 6, 8, 10, 12, 14, 16, 18, 20], [14, 15, 16, 17, 18, 19, 20, 21]]) == pytest.approx(1.5)
    with pytest.raises(WorkerError, match="not go on at the same time"):
        epochs_per_s([[1, 2, 3], [3, 4]])


def test_a_real_measurement_of_several_at_once(small):
    measured = measure_at_once(small, 400, workers=2, epochs=30)
    assert measured["at_once_trainings_count"] == 2
    assert measured["at_once_images_per_s"] > 50


def test_ratios_are_of_four_trainings_each_with_its_setting_and_company(small, monkeypatch):
    taken = iter([2.0, 1.0, 3.0, 9.0])
    settings: list[str | None] = []
    companies: list[bool] = []
    busy: list[subprocess.Popen] = []
    real = subprocess.Popen

    def start(*arguments, **options):
        busy.append(real(*arguments, **options))
        return busy[-1]

    def in_child(*_, **__):
        settings.append(os.environ.get("GOMP_SPINCOUNT"))
        companies.append(any(process.poll() is None for process in busy))
        return [next(taken)]

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(company, "in_child", in_child)
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    assert company.measure_beside(small, 100) == {
        "beside_images_per_s": pytest.approx(100 / 3),
        "beside_slower_ratio": 1.5,
        "beside_unset_slower_ratio": 9,
        "beside_over_unset_ratio": 3,
        "beside_alone_over_unset_ratio": 0.5,
    }
    assert settings == ["7", str(DEFAULT_SPINS)] * 2 and companies == [False, False, True, True]
    assert (os.environ["GOMP_SPINCOUNT"], os.environ["OMP_WAIT_POLICY"]) == ("7", "passive")
    assert all(process.poll() is not None for process in busy)


@pytest.mark.manual
def test_a_real_measurement_beside_another(small):
    assert all(value > 0 for value in company.measure_beside(small, 100, epochs=2).values())
