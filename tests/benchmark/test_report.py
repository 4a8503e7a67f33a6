import json

import pytest

from bilateral.base.errors import ConfigError, DataError
from bilateral.benchmark import report
from bilateral.runs.config import check_config

MEASURED = {
    "peak_float32_flops_per_s": 100.0,
    "peak_bfloat16_flops_per_s": 400.0,
    "training_median_flops_per_s": 50.0,
    "training_fastest_flops_per_s": 60.0,
    "training_median_images_per_s": 30.0,
    "plain_training_images_per_s": 12.0,
    "compiled_images_per_s": None,
    "compiled_flops_per_s": None,
}


def test_ratios_and_shares_are_quotients_of_their_parts():
    assert report.comparisons(MEASURED, "float32") == {
        "training_median_peak_share": 0.5,
        "training_fastest_peak_share": 0.6,
        "training_over_plain_ratio": 2.5,
    }
    assert report.comparisons(MEASURED, "bfloat16")["training_median_peak_share"] == 0.125
    compiled = report.comparisons(MEASURED | {"compiled_images_per_s": 45.0, "compiled_flops_per_s": 75.0}, "float32")
    assert compiled["compiled_over_training_ratio"] == 1.5 and compiled["compiled_peak_share"] == 0.75
    assert report.comparisons({"training_median_images_per_s": 30.0}, "float32") == {}


def test_measurements_come_in_order_and_a_failure_is_told(small, monkeypatch):
    def fail(config, count):
        raise DataError("the data set is not there")

    measurements = {"one": lambda config, count: {"one_images": count}, "two": fail, "three": lambda *_: {"three_s": 1}}
    monkeypatch.setattr(report, "MEASUREMENTS", measurements)
    result = json.loads(json.dumps(report.measure(small, 100)))
    assert list(result["measurements"]) == ["one_images", "three_s"] and result["measurements"]["one_images"] == 100
    assert result["failures"] == {"two": "the data set is not there"}
    assert result["settings"]["arch"] == {"left": "resnet9"} and result["settings"]["precision"] == "float32"
    assert result["machine"]["threads"] == 1
    assert list(report.measure(small, 100, ["three"])["measurements"]) == ["three_s"]


def test_an_unknown_measurement_is_refused():
    with pytest.raises(ConfigError, match="unknown measurement 'speed'; there are peak, loading, plain"):
        report.measure(check_config({"training": {}}, "test"), 100, ["peak", "speed"])
