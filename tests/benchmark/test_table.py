from rich.console import Console

from bilateral.benchmark.table import report_table

REPORT = {
    "machine": {"device": "cpu"},
    "settings": {"arch": {"left": "resnet9"}, "width": {"left": 0.25}, "batch_size": 64, "precision": "float32"},
    "measurements": {
        "peak_float32_flops_per_s": 123.4e9,
        "training_median_images_per_s": 1234.5,
        "training_per_image_flops": 2.27e9,
        "training_median_peak_share": 0.7123,
        "compiled_warm_up_s": None,
        "compiled_failure": "no compiler",
        "head_stage_kept_s": 12.345,
        "memory_peak_bytes": 1.5e9,
        "training_over_plain_ratio": 3.456,
    },
    "failures": {"loading": "there is no data"},
}


def test_every_figure_stands_under_its_measurement_with_its_unit():
    console = Console(width=120)
    with console.capture() as captured:
        console.print(report_table(REPORT))
    rows = [tuple(cell.strip() for cell in line.split("│")[1:-1]) for line in captured.get().splitlines()]
    rows = [row for row in rows if row]
    assert rows == [
        ("peak", "float32", "123 GFLOP/s"),
        ("loading", "failed", "there is no data"),
        ("training", "median", "1,234 images/s"),
        ("", "per image", "2.27 GFLOP"),
        ("", "median peak share", "71.2 %"),
        ("", "over plain ratio", "3.46"),
        ("compiled", "warm up", "none"),
        ("", "failure", "no compiler"),
        ("head stage", "kept", "12.35 s"),
        ("memory", "peak", "1,500.0 MB"),
    ]
    assert "resnet9 of width 0.25, batches of 64, float32" in captured.get()
