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


def test_the_sentence_names_both_ends(computed):
    _, table = computed
    means = calibration.calibration_error(table).groupby(["row", "level"]).mean()
    text = calibration.tell(table)
    for level in ("fine", "coarse"):
        own = means.xs(level, level="level").sort_values()
        first, last = ({"specialised": "the bilateral"}.get(row, f"the {row}") for row in (own.index[0], own.index[-1]))
        assert (
            f"On {level} labels the probabilities of “{first}” fit best ({own.iloc[0]:.1f} % from its accuracy, on "
            f"average) and those of “{last}” worst ({own.iloc[-1]:.1f} %)."
        ) in text
