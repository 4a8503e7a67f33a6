"""The measurements of `bilateral bench`, each by itself; its figures are in `extra_info` of the JSON."""

import pytest

from bilateral.benchmark.report import MEASUREMENTS

COUNT = 512


@pytest.mark.parametrize("name", [name for name in MEASUREMENTS if name != "compiled"])
def test_measurement(benchmark, config, name):
    measured = benchmark.pedantic(MEASUREMENTS[name], (config, COUNT), rounds=1)
    benchmark.extra_info.update(measured)
