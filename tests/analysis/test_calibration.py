import pandas as pd
import pytest
import torch

from bilateral.analysis import calibration
from bilateral.experiments.measures import measure

from . import handmade

LABELS = torch.arange(6).repeat(100)


@pytest.fixture(scope="module", params=[1, 12])
def computed(request):
    said = {}
    for seed in (0, 1):
        roles = {"left": ("fine",), "right": ("coarse",), "bilateral": ("fine", "coarse")}
        said[seed] = {
            role: handmade.random_predictions(LABELS, seed + 10 * place, levels)
            for place, (role, levels) in enumerate(roles.items())
        }
        for predictions in said[seed].values():
            for logits in predictions.logits.values():
                logits *= request.param
    return said, calibration.compute(handmade.study(said))


def test_the_error_of_the_table_is_that_of_the_measures(computed):
    said, table = computed
    found = calibration.calibration_error(table)
    assert len(found) == 2 * 4
    for (row, level, seed), value in found.items():
        expected = measure(said[seed]["bilateral" if row == "specialised" else row], handmade.HIERARCHY)
        assert value == pytest.approx(expected[f"ece_{level}_pct"], abs=1e-3) and value > 1


def test_bins_hold_all_images_and_their_accuracy(computed):
    said, table = computed
    assert (table.groupby(["row", "level", "seed"])["images"].sum() == len(LABELS)).all()
    assert table["bin"].between(0, 14).all() and (table["images"] > 0).all()
    width = 1 / 15
    assert (table["certainty"] >= table["bin"] * width - 1e-6).all()
    assert (table["certainty"] <= (table["bin"] + 1) * width + 1e-6).all()
    own = table.query("row == 'left' and seed == 1")
    accuracy = (own["accuracy"] * own["images"]).sum() / len(LABELS)
    assert 100 * accuracy == pytest.approx(measure(said[1]["left"], handmade.HIERARCHY)["fine_pct"])


def made(**errors: list[float]) -> pd.DataFrame:
    """One bin a row and seed, with this gap (%) of certainty and accuracy."""
    lines = [
        (row, f"the {row}", "fine", seed, 7, 10, 0.5 + gap / 100, 0.5)
        for row, own in errors.items()
        for seed, gap in enumerate(own)
    ]
    columns = ["row", "title", "level", "seed", "bin", "images", "certainty", "accuracy"]
    return pd.DataFrame(lines, columns=columns)


@pytest.mark.parametrize(
    ("one", "other", "first", "compared"),
    [
        (
            [1.0, 1.1, 1.0],
            [5.0, 5.2, 5.0],
            "“the one” is calibrated best on fine labels",
            "“the one” (1.0) and “the other” (5.1) differ by -4.0 (n = 3, 95 % interval -4.2 to -3.9).",
        ),
        (
            [1.0, 9.0, 2.0],
            [5.0, 2.0, 7.0],
            "No network is shown to be calibrated best on fine labels",
            "“the one” (4.0) and “the other” (4.7) are not told apart, with a difference of -0.7 (n = 3, 95 % ",
        ),
        (
            [1.0],
            [5.0],
            "In this one seed “the one” is calibrated best on fine labels",
            "“the one” (1.0) and “the other” (5.0) differ by -4.0 (one seed).",
        ),
    ],
)
def test_the_best_is_named_only_if_it_is_shown(one, other, first, compared):
    text = calibration.tell(made(other=other, one=one))
    assert (
        text.startswith(f"{first}. The expected calibration error, ") and f" % on fine labels, where {compared}" in text
    )


def test_of_one_network_only_the_error_is_told(computed):
    assert calibration.tell(made(one=[2.0, 3.0])).endswith(" accuracy, is 2.5 to 2.5 % on fine labels.")
    text = calibration.tell(computed[1])
    assert " on fine labels; " in text.split(". ")[0] and " on coarse labels, where “" in text
