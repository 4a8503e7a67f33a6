"""Rows and experiments that cannot be."""

import pytest

from bilateral.base.errors import ConfigError
from bilateral.experiments.published import DEFAULT
from bilateral.experiments.rows import plan_rows
from bilateral.runs.config import check_config

SMALL = {"left": {"width": 0.0625}, "right": {"width": 0.0625}}


def config(experiment=None, **values):
    return check_config({"model": SMALL, "experiment": experiment, **values}, "test")


def plan(tiny, experiment=None, **values):
    return {row.name: row for row in plan_rows(config(experiment, **values), tiny)}


def test_where_no_width_gives_as_many_parameters_the_row_is_refused(tiny):
    model = {"left": {"width": 0.0625}, "right": {"width": 1.0}}
    with pytest.raises(ConfigError, match="leave unilateral_wide out"):
        plan(tiny, model=model)
    assert "unilateral" in plan(tiny, {"without": ["unilateral_wide"]}, model=model)


def test_seeds_whose_networks_would_be_shared_are_refused(tiny):
    with pytest.raises(ConfigError, match=r"seeds: 1 and 1001 share networks.* below 1000"):
        plan(tiny, seeds=[0, 1, 1001])
    with pytest.raises(ConfigError, match="seeds: 1 and 1001 share networks"):
        plan(tiny, seeds=[1001, 1])
    with pytest.raises(ConfigError, match="seeds: 1 and 2001 share networks"):
        plan(tiny, {"ensemble_sizes": [2, 3]}, seeds=[1, 2001])
    members = [run.seed for runs in plan(tiny, seeds=[1, 2001])["ensemble_2"].runs.values() for run in runs]
    assert members == [1, 1001, 2001, 3001]


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        ({"rows": ["left", "right", "left"]}, "rows lists left twice"),
        ({"without": ["left", "left"]}, "without lists left twice"),
        ({"rows": []}, r"experiment\.rows: .*at least 1"),
        ({"ensemble_sizes": [1]}, r"experiment\.ensemble_sizes\.0: .*greater than or equal to 2, not 1"),
        ({"ensemble_sizes": [2, 2]}, "ensemble_sizes lists 2 twice"),
        ({"contrasts": {"against": ["left", "left"]}}, "against lists left twice"),
        ({"contrasts": {"against": ["specialised"]}}, "against lists specialised, the row itself"),
        ({"contrasts": {"margin": 0}}, r"experiment\.contrasts\.margin"),
        ({"contrasts": {"measures": ["severity"]}}, r"experiment\.contrasts\.measures\.0"),
        ({"contrasts": {"measures": []}}, r"experiment\.contrasts\.measures"),
        ({"ensemble_sizes": []}, r"experiment\.ensemble_sizes: .*at least 1"),
    ],
)
def test_what_no_table_can_be_made_of_is_refused_when_it_is_read(experiment, message):
    with pytest.raises(ConfigError, match=message):
        config(experiment)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"experiment": {"rows": ["lft"]}}, r"experiment\.rows: there is no row 'lft'; did you mean left\?"),
        ({"experiment": {"rows": ["something"]}}, "'something'; there are left, right, .*ensemble_2, and larger"),
        ({"experiment": {"without": ["ensembles"]}}, r"experiment\.without: .*did you mean ensemble_2\?"),
        ({"experiment": {"titles": {"rigth": "a"}}}, r"experiment\.titles: .*did you mean right\?"),
        ({"experiment": {"contrasts": {"against": ["lft"]}}}, r"experiment\.contrasts\.against: .* 'lft'"),
        ({"experiment": {"contrasts": {"row": "ensemble"}}}, r"experiment\.contrasts\.row: .*mean ensemble_2\?"),
        ({"experiment": {"rows": ["left"], "without": ["left"]}}, "`without` leaves no row"),
        ({"experiment": {"without": DEFAULT}}, "`without` leaves no row"),
        ({"model": {"mode_hemis": "unilateral"}}, "mode_hemis must be bilateral, mode_heads both"),
        ({"model": {"mode_heads": "fine"}}, "mode_hemis must be bilateral, mode_heads both"),
        ({"model": {"left": {"checkpoint": "a"}}}, r"model\.left\.checkpoint: an experiment trains all"),
        ({"model": {"right": {"checkpoint": "a"}}}, r"model\.right\.checkpoint: an experiment trains all"),
        ({"model": {"checkpoint": "a"}}, r"model\.checkpoint: an experiment trains all"),
        ({"evaluate": False}, "evaluate: .* must be true"),
    ],
)
def test_what_no_experiment_can_be_made_of_is_refused(tiny, values, message):
    with pytest.raises(ConfigError, match=message):
        plan(tiny, **values)


@pytest.mark.parametrize("levels", [{"left": "coarse"}, {"right": "fine"}])
def test_hemispheres_that_lack_the_level_that_a_row_takes_of_them_are_refused(tiny, levels):
    model = {side: {**SMALL[side], **({"level": levels[side]} if side in levels else {})} for side in SMALL}
    with pytest.raises(ConfigError, match="level"):
        plan(tiny, model=model)
