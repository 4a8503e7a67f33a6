import pytest

from bilateral.base.errors import ConfigError
from bilateral.sweeps.search import is_swept, read_search

NOISE, WIDTH = "model.left.parts.noise.std", "model.right.width"


def test_a_grid_is_the_product_of_its_lists():
    search = read_search([f"{NOISE}=[0, 1e-3]", f"{WIDTH}=[0.25, 0.5, 1]"])
    assert search.keys == [NOISE, WIDTH] and not search.is_random and not search.geometric
    pairs = [(setting[NOISE], setting[WIDTH]) for setting in search.settings]
    assert sorted(pairs) == [(a, b) for a in ("0", "1e-3") for b in ("0.25", "0.5", "1")]


def test_values_may_be_words_nothing_lists_and_mappings_with_their_numbers():
    search = read_search(["model.left.parts.noise=[null, {after: conv2, std: 0.1}]", "model.join.kind=[sum, 'no']"])
    assert {tuple(setting.values()) for setting in search.settings} == {
        (part, join) for part in ("null", "{after: conv2, std: 0.1}") for join in ("sum", "no")
    }


def test_draws_are_within_their_bounds_and_the_same_for_a_seed():
    keys = [f"{NOISE}=loguniform(1e-3, 1)", f"{WIDTH}=uniform(2, 3)", "training.epochs=randint(1, 8)"]
    search = read_search([*keys, "model.join.kind=[concat, sum]"], samples=60, search_seed=3)
    noise, width = ([float(setting[key]) for setting in search.settings] for key in (NOISE, WIDTH))
    assert len(search.settings) == 60 and search.is_random and search.geometric == {NOISE}
    assert 1e-3 <= min(noise) < 0.01 and 0.1 < max(noise) <= 1 and sum(each < 0.0316 for each in noise) > 15
    assert 2 <= min(width) < 2.2 and 2.8 < max(width) <= 3
    assert {setting["training.epochs"] for setting in search.settings} == set("1234567")
    assert {setting["model.join.kind"] for setting in search.settings} == {"concat", "sum"}
    again = read_search([*keys, "model.join.kind=[concat, sum]"], samples=60, search_seed=3)
    other = read_search([*keys, "model.join.kind=[concat, sum]"], samples=60)
    assert again.settings == search.settings != other.settings


def test_a_setting_that_is_drawn_twice_is_tried_once():
    search = read_search(["training.epochs=randint(1, 4)"], samples=50)
    assert sorted(setting["training.epochs"] for setting in search.settings) == ["1", "2", "3"]


def test_only_lists_and_ranges_of_keys_that_rows_may_differ_in_are_swept():
    assert is_swept("model.left.width=[1]") and is_swept("experiment.end_to_end.lr=uniform(0, 1)")
    for plain in ("seeds=[0, 1]", "experiment.rows=[left]", "model.left.width=1", "modell.left.width=[1]", "model"):
        assert not is_swept(plain)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([], {}, "a sweep needs a key with several values"),
        ([f"{NOISE}=[]"], {}, "std: the list is empty"),
        ([f"{NOISE}=[0.1, 0.2, 0.1]"], {}, "the list has 0.1 twice"),
        ([f"{NOISE}=[0.1"], {}, "is not a list"),
        ([f"{NOISE}=[0.1]", f"{NOISE}=[0.2]"], {}, "is given twice"),
        ([f"{NOISE}=uniform(0, 1)"], {}, "--samples: give the number of settings"),
        ([f"{NOISE}=[0.1, 0.2]"], {"search_seed": 1}, "--search-seed: has no effect on a grid"),
        ([f"{NOISE}=uniform(0, 1)"], {"samples": 0}, "--samples: must be 1 or more, not 0"),
        ([f"{NOISE}=[0.1, 0.2]"], {"samples": 3}, "the lists have 2 settings, fewer than 3"),
        ([f"{NOISE}=uniform(0, 1)"], {"samples": 1, "search_seed": -1}, "--search-seed: must be from 0"),
        ([f"{NOISE}=normal(0, 1)"], {"samples": 1}, "no distribution 'normal'; allowed: uniform, loguniform, randint"),
        ([f"{NOISE}=uniform(1, 1)"], {"samples": 1}, "uniform.1, 1. must have two numbers, the smaller one first"),
        ([f"{NOISE}=uniform(1)"], {"samples": 1}, "must have two numbers"),
        ([f"{NOISE}=uniform(0, inf)"], {"samples": 1}, "must have two numbers"),
        ([f"{NOISE}=uniform(nan, 1)"], {"samples": 1}, "must have two numbers"),
        ([f"{NOISE}=loguniform(0, 1)"], {"samples": 1}, "must have two numbers above 0"),
        ([f"{NOISE}=randint(1.5, 3)"], {"samples": 1}, "must have two whole numbers"),
    ],
)
def test_what_cannot_be_searched_is_refused(arguments, options, message):
    with pytest.raises(ConfigError, match=message):
        read_search(arguments, **options)
