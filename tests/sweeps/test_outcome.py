"""Tables, sentences and figures of a sweep, of figures that are made up."""

import pandas as pd
import pytest

from bilateral.sweeps.figure import draw
from bilateral.sweeps.outcome import SweepOutcome, block, tell, write
from bilateral.sweeps.search import read_search

NOISE, WIDTH, JOIN = "model.left.parts.noise.std", "model.right.width", "model.join.kind"


def made_up(arguments, value, samples=None, measures=("fine_pct",), seeds=(0, 1, 2), folder=None):
    """A sweep with what `value` gives for a setting and a seed, by measure."""
    search = read_search(arguments, samples)
    lines = pd.DataFrame(
        {"setting": f"setting_{number}", **setting, "seed": seed, **value(setting, seed)}
        for number, setting in enumerate(search.settings, 1)
        for seed in seeds
    )
    for key in search.keys:
        if key != JOIN:
            lines[key] = pd.to_numeric(lines[key])
    return SweepOutcome(search, "specialised", list(measures), folder, lines)


def test_the_setting_is_chosen_by_held_out_images_and_what_test_images_would_choose_is_told():
    test = {"0": 60.0, "0.1": 62.0, "0.2": 63.0}
    held_out = {"0": 50.0, "0.1": 53.0, "0.2": 52.0}
    found = made_up(
        [f"{NOISE}=[0, 0.1, 0.2]"],
        lambda setting, seed: {
            "fine_pct": test[setting[NOISE]] + seed,
            "held_out_fine_pct": held_out[setting[NOISE]] + seed,
        },
    )
    assert tell(found, "fine_pct") == (
        f"Chosen by the held-out images, the best of 3 settings by its mean is {NOISE}=0.1: fine 63.00 ± 1.00 % "
        "(n = 3, 95 % interval 60.52 to 65.48). "
        f"It is not shown to be ahead of {NOISE}=0.2 (difference -1.00, 95 % interval -1.00 to -1.00, paired by seed). "
        f"The test images would choose {NOISE}=0.2, 64.00 ± 1.00 %; a figure of the images that chose it is biased."
    )
    assert "Report that of the test images." in tell(found, "held_out_fine_pct")


def test_without_held_out_images_the_choice_is_called_biased():
    found = made_up([f"{NOISE}=[0, 0.5]"], lambda setting, seed: {"fine_pct": 50 - float(setting[NOISE])}, seeds=[7])
    assert tell(found, "fine_pct") == (
        f"The best of 2 settings by its mean is {NOISE}=0: fine 50.00 % (n = 1). "
        f"The next one is {NOISE}=0.5 (difference +0.50); one seed shows no order. "
        "It was chosen by the same images, so its figure is biased: it looks better than it is. "
        "`protocol: clean` holds out images to choose by."
    )


@pytest.mark.parametrize(("measure", "best"), [("nll_fine", "0"), ("ece_fine_pct", "0"), ("fine_pct", "0.5")])
def test_errors_are_best_where_they_are_low(measure, best):
    found = made_up([f"{NOISE}=[0, 0.5]"], lambda setting, seed: {measure: 3 + float(setting[NOISE])})
    assert f"by its mean is {NOISE}={best}: " in tell(found, measure)


@pytest.mark.parametrize(
    ("spread", "said"), [(0.1, "is ahead of every other one; the nearest is"), (3, "is not shown to")]
)
def test_a_setting_is_ahead_only_where_the_interval_of_the_difference_says_so(spread, said):
    scatter = {("0", 0): 1, ("0", 1): -1, ("0.5", 2): 1}
    found = made_up(
        [f"{NOISE}=[0, 0.5]"],
        lambda setting, seed: {
            "fine_pct": 51 - 2 * float(setting[NOISE]) + spread * scatter.get((setting[NOISE], seed), 0)
        },
    )
    assert f"It {said}" in tell(found, "fine_pct")


def test_cost_is_told_without_a_word_on_images():
    found = made_up([f"{WIDTH}=[0.5, 1]"], lambda setting, seed: {"parameters": 8 * float(setting[WIDTH])})
    assert "images" not in tell(found, "parameters") and f"is {WIDTH}=0.5: parameters 4" in tell(found, "parameters")


def test_files_have_each_setting_with_n_mean_deviation_and_interval(tmp_path):
    found = made_up(
        [f"{NOISE}=[0, 0.5]", f"{JOIN}=[concat, sum]"],
        lambda setting, seed: {"fine_pct": 10.0 * len(setting[JOIN]) + seed},
        folder=tmp_path,
    )
    write(found)
    settings = pd.read_csv(tmp_path / "settings.csv")
    assert settings[JOIN].tolist() == ["concat", "concat", "sum", "sum"] and (settings["n"] == 3).all()
    assert settings["mean"].tolist() == [61, 61, 31, 31] and (settings["std"] == 1).all()
    assert (settings["ci95_high"] - settings["mean"]).tolist() == pytest.approx([4.303 / 3**0.5] * 4, abs=1e-3)
    assert len(pd.read_csv(tmp_path / "sweep.csv")) == 12
    text = (tmp_path / "settings.md").read_text()
    assert text.count("61.00 ± 1.00 |") == 2 and tell(found, "fine_pct") in text
    assert NOISE in (tmp_path / "fine_pct.svg").read_text() and (tmp_path / "fine_pct.png").stat().st_size > 5000
    assert block(found, "fine_pct").cells[0][:3] == ["0", "concat", "3"]


def heights(axes):
    """The means in a panel, by line."""
    return [list(bars.lines[0].get_ydata()) for bars in axes.containers]


def test_a_second_key_makes_lines_and_each_seed_is_a_point():
    def value(setting, seed):
        return {"fine_pct": float(setting[NOISE]) * 10 + 100 * float(setting[WIDTH]) + seed}

    (axes,) = draw(made_up([f"{NOISE}=[0.2, 0.1]", f"{WIDTH}=[0.5, 1]"], value), "fine_pct").axes
    assert heights(axes) == [[52, 53], [102, 103]]  # from the left to the right
    assert next(len(points.get_offsets()) for points in axes.collections if hasattr(points, "get_sizes")) == 6
    assert axes.get_xscale() == "linear" and axes.get_xlabel() == NOISE and axes.get_ylabel() == "fine, %"
    assert axes.figure.legends[0].get_title().get_text() == WIDTH


def test_words_stand_in_a_row_in_their_order():
    value = lambda setting, seed: {"fine_pct": float(len(setting[JOIN]))}  # noqa: E731
    (axes,) = draw(made_up([f"{JOIN}=[sum, concat, gate]"], value), "fine_pct").axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["sum", "concat", "gate"]
    assert heights(axes) == [[3, 6, 4]]


def test_draws_have_a_panel_for_each_key_and_a_logarithmic_axis_where_they_were_drawn_so():
    arguments = [f"{NOISE}=loguniform(1e-3, 1)", f"{WIDTH}=uniform(0, 1)"]
    found = made_up(arguments, lambda setting, seed: {"fine_pct": float(seed)}, samples=200, seeds=[0, 1])
    assert found.lines[WIDTH].max() > 100 * found.lines[WIDTH].min()
    axes = draw(found, "fine_pct").axes
    assert [(each.get_xlabel(), each.get_xscale()) for each in axes] == [(NOISE, "log"), (WIDTH, "linear")]
    assert [len(own) for each in axes for own in heights(each)] == [200, 200]


def test_a_wide_grid_is_drawn_on_a_logarithmic_axis_and_too_many_lines_are_panels():
    keys = ["training.lr=[0.001, 0.01, 0.1]", f"{WIDTH}=[{', '.join(str(each / 10) for each in range(1, 10))}]"]
    axes = draw(made_up(keys, lambda setting, seed: {"fine_pct": float(seed)}), "fine_pct").axes
    assert [each.get_xscale() for each in axes] == ["log", "linear"]
