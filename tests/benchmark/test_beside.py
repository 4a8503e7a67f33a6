import os
import subprocess

import pytest

from bilateral.base.openmp import DEFAULT_SPINS
from bilateral.benchmark import beside


def test_ratios_are_of_four_trainings_each_with_its_setting_and_company(small, monkeypatch):
    taken = iter([2.0, 1.0, 3.0, 9.0])
    settings: list[str | None] = []
    companies: list[bool] = []
    busy: list[subprocess.Popen] = []
    real = subprocess.Popen

    def start(*arguments, **options):
        busy.append(real(*arguments, **options))
        return busy[-1]

    def in_child(*_):
        settings.append(os.environ.get("GOMP_SPINCOUNT"))
        companies.append(any(process.poll() is None for process in busy))
        return next(taken)

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(beside, "in_child", in_child)
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    assert beside.measure_beside(small, 100) == {
        "beside_images_per_s": pytest.approx(100 / 3),
        "beside_slower_ratio": 1.5,
        "beside_unset_slower_ratio": 9,
        "beside_over_unset_ratio": 3,
        "beside_alone_over_unset_ratio": 0.5,
    }
    assert settings == ["7", str(DEFAULT_SPINS)] * 2 and companies == [False, False, True, True]
    assert (os.environ["GOMP_SPINCOUNT"], os.environ["OMP_WAIT_POLICY"]) == ("7", "passive")
    assert all(process.poll() is not None for process in busy)


@pytest.mark.slow
def test_a_real_measurement(small):
    assert all(value > 0 for value in beside.measure_beside(small, 100, epochs=2).values())
