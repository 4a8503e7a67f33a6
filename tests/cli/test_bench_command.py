import json

import pytest

from bilateral.base.errors import BilateralError
from bilateral.benchmark.report import MEASUREMENTS
from bilateral.benchmark.table import UNITS
from bilateral.cli.bench_command import bench
from conftest import TINY_DATA

pytestmark = pytest.mark.slow

TINY = [*TINY_DATA, "model.left.width=0.0625", "training.batch_size=50", "data.num_workers=1", "--images", "100"]


def test_bench_prints_json_alone_with_units_in_its_keys(bilateral, tmp_path):
    names = ["loading", "plain", "training", "head_stage", "peak"]
    result = bilateral("bench", *TINY, "--json", "--only", *names)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    measurements = report["measurements"]
    assert {name for name in names if any(key.startswith(name) for key in measurements)} == set(names)
    for key, value in measurements.items():
        # The start of workers is a difference of two times, which a busy machine may turn round.
        assert (value > 0 or key == "plain_workers_start_s") and any(key.endswith(f"_{unit}") for unit in UNITS), key
    share = measurements["training_median_peak_share"]
    peak = measurements[f"peak_{report['settings']['precision']}_flops_per_s"]
    assert share == measurements["training_median_flops_per_s"] / peak and share < 1
    assert "1/5: peak" in result.stderr and "5/5: head stage" in result.stderr
    assert not list(tmp_path.iterdir())


def test_bench_prints_a_table_then_says_what_failed(capsys):
    settings = [*TINY[:-2], "data.root=x", "training.device=cpu"]
    with pytest.raises(BilateralError, match=r"loading failed: data\.root: the source"):
        bench(*settings, images=100, only=["loading", "training"], json=False)
    table = capsys.readouterr().out
    assert "resnet9 of width 0.0625" in table and "images/s" in table and "failed" in table
    assert max(map(len, table.splitlines())) <= 80


def test_help_names_every_measurement(bilateral):
    told = " ".join(bilateral("bench", "--help").stdout.replace("│", " ").split())
    assert ", ".join(MEASUREMENTS) in told
