"""Specialisation of every row: of a small experiment on compound figures, and of tables made by hand."""

import pandas as pd
import pytest

from bilateral import experiment, open_study
from bilateral.analysis import asymmetries, global_local, specialisation
from bilateral.analysis.asymmetries import strength, tell, values


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two sides that are alike, the same with all of right's units but a few silenced, and a left alone."""
    folder = tmp_path_factory.mktemp("rows")
    variant = {
        "title": "a weak right",
        "from": "nonspecialised",
        "set": {"model.lesions.units": {"at": "right", "share": 0.9}},
    }
    side = {"arch": "resnet9", "width": 0.03125}
    experiment(
        {
            "save_dir": str(folder),
            "seeds": [0, 1],
            "workers": 1,
            "data": {"name": "navon", "options": {"train_per_class": 4, "test_per_class": 2}},
            "model": {"left": side, "right": side},
            "training": {"epochs": 1},
            "experiment": {"rows": ["nonspecialised", "left"], "variants": {"weak": variant}},
        }
    )
    return open_study(folder / "bilateral-experiment", row="nonspecialised")


@pytest.fixture(scope="module")
def table(study) -> pd.DataFrame:
    return asymmetries.compute(study)


def test_every_row_of_two_sides_is_measured_as_if_it_were_looked_into(study, table):
    assert list(table["row"].unique()) == ["nonspecialised", "weak"]
    for row in ("nonspecialised", "weak"):
        own = study.of(row)
        assert own.subject == row and own.dataset is study.dataset
        alone = specialisation.specialisation(specialisation.compute(own), "readout")
        assert values(table, row, "specialisation").to_dict() == alone.to_dict()
        between = global_local.interaction(global_local.compute(own))
        assert values(table, row, "interaction").to_dict() == between.to_dict() and len(between) == 2
        said = study.predictions(row)
        assert values(table, row, "fine_pct").to_dict() == {seed: said[seed].accuracy_pct("fine") for seed in said}


def made(**rows: tuple[float, float]) -> pd.DataFrame:
    """Specialisation and fine accuracy by row; the second of two seeds has the opposite sign."""
    lines = [
        (row, f"the {row}", seed, measure, value)
        for row, (found, accuracy) in rows.items()
        for seed, sign in enumerate((1, -1))
        for measure, value in (("specialisation", sign * found), ("fine_pct", accuracy))
    ]
    return pd.DataFrame(lines, columns=["row", "title", "seed", "measure", "value"])


def test_strength_has_no_sign_and_the_sentence_names_the_extremes_and_the_yardstick():
    table = made(one=(0.5, 60), nonspecialised=(0.2, 70), other=(0.1, 80))
    assert strength(table, "one").to_dict() == {0: 0.5, 1: 0.5}
    text = tell(table)
    assert text.startswith(
        "The two sides specialise most in “the one”. “the one” (0.500) and “the nonspecialised” (0.200) "
    )
    assert "“the one” 0.500 (n = 2" in text and "“the nonspecialised” 0.200" in text and "“the other” 0.100" in text
    assert "Over 3 rows its correlation with fine accuracy is -1.00 (Spearman; p 0.33)" in text  # 2 of 3! orders
    assert "correlation" not in tell(made(one=(0.5, 60), other=(0.1, 80)))
    assert tell(made()) == "No row's sides know anything above chance."


def test_the_p_of_the_correlation_is_exact_for_few_rows():
    rows = {f"row_{n}": (strength / 10, 50 + n) for n, strength in enumerate((1, 2, 3, 5, 4))}
    assert "is +0.90 (Spearman; p 0.083)" in tell(made(**rows))  # 10 of 5! orders, as in tables of Spearman's rho
    many = {f"row_{n}": (n / 10, 50 + n) for n in range(1, 9)}
    assert "Over 8 rows its correlation with fine accuracy is +1.00 (Spearman; p below 0.001)" in tell(made(**many))


def test_the_interaction_is_what_counts_of_compound_figures(table):
    assert (strength(table, "weak") == values(table, "weak", "interaction").abs()).all()
    assert "interaction, points" in tell(table)


def test_the_figure(table):
    figure = asymmetries.draw(table)
    assert [axes.get_xlabel() for axes in figure.axes] == [*asymmetries.MEASURES.values(), "strength, whichever way"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][1] == "2: a weak right"


@pytest.mark.parametrize(
    ("one", "other", "begin"),
    [
        (
            [0.5, 0.52, 0.5],
            [0.1, 0.1, -0.1],
            "The two sides specialise most in “the one”. “the one” (0.507) and “the other” (0.100) differ by +0.407 (",
        ),
        (
            [0.03, -0.05, 0.01],
            [0.01, 0.0, 0.02],
            "No network's two sides are shown to specialise more than those of all others. “the one” (0.030) and “the "
            "other” (0.010) are not told apart, with a difference of +0.020 (n = 3, 95 % interval -0.0",
        ),
        (
            [-0.5],
            [0.1],
            "In this one seed the two sides specialise most in “the one”. “the one” (0.500) and “the other” (0.100) "
            "differ by +0.400 (one seed).",
        ),
    ],
)
def test_who_specialises_most_is_said_only_if_it_is_shown(one, other, begin):
    lines = [
        (row, f"the {row}", seed, "specialisation", value)
        for row, own in (("other", other), ("one", one))
        for seed, value in enumerate(own)
    ]
    text = tell(pd.DataFrame(lines, columns=["row", "title", "seed", "measure", "value"]))
    assert text.startswith(begin) and "Strength of specialisation (specialisation, -1 to 1, whichever way): “" in text
