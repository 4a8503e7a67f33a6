import json

import pytest
import yaml

from bilateral.base.errors import ConfigError
from bilateral.runs.config import check_config, dump_config, read_config, with_settings

VALUES = {"training": {"epochs": 20}, "pretraining": {"left": {"epochs": 10}}}


def settled(variants, experiment=None, **values):
    return check_config({**VALUES, **values, "experiment": {**(experiment or {}), "variants": variants}}, "my.yaml")


def variants(given):
    found = settled(given).experiment.variants
    return {name: (variant.title, variant.base, variant.set) for name, variant in found.items()}


def test_what_is_set_is_read_as_the_config_is():
    unchanged = {"from": "left", "title": "as it was", "set": {"model.left.width": 1}}
    assert variants({"a": unchanged}) == {"a": ("as it was", "left", {})}
    title, base, changes = variants({"a": {"from": "left", "set": {"model.left": {"width": 0.5, "arch": "vgg11"}}}})[
        "a"
    ]
    assert (title, base) == ("{from}, model.left={width: 0.5, arch: vgg11}", "left")
    assert changes == {"model.left.arch": "vgg11", "model.left.width": 0.5}


def test_what_inherits_from_a_setting_changes_with_it():
    (_, _, changes) = variants({"a": {"from": "left", "set": {"training.epochs": 5}}})["a"]
    assert {key: value for key, value in changes.items() if key.endswith(".epochs")} == {
        "training.epochs": 5,
        "pretraining.right.epochs": 5,  # the left one has a number of its own
        "experiment.end_to_end.epochs": 5,
        "experiment.fine_tuning.epochs": 5,
    }
    assert changes["training.warmup_epochs"] == 1


def test_the_config_of_a_variant_is_that_of_a_file_with_its_settings():
    config = settled({"a": {"from": "left", "set": {"training.epochs": 5, "model.left.width": 0.25}}})
    plain = {**VALUES, "training": {"epochs": 5}, "model": {"left": {"width": 0.25}}, "experiment": {}}
    found = with_settings(config, config.experiment.variants["a"].set)
    assert found.model_copy(update={"experiment": None}) == check_config({**plain}, "b").model_copy(
        update={"experiment": None}
    )


def test_variants_of_variants_add_up_and_the_last_word_counts():
    found = variants(
        {
            "third": {"from": "second", "set": {"model.dropout": 0.1}},
            "second": {"from": "first", "title": "twice changed", "set": {"model.left.width": 0.25}},
            "first": {"from": "specialised", "set": {"model.left.width": 0.5, "model.right.width": 0.5}},
        }
    )
    assert found["third"] == (
        "twice changed, model.dropout=0.1",
        "specialised",
        {"model.dropout": 0.1, "model.left.width": 0.25, "model.right.width": 0.5},
    )


def test_a_sweep_is_a_row_for_every_combination():
    grid = {"model.left.width": [0.25, 0.5], "model.dropout": [0, 0.1]}
    found = variants({"grid": {"from": "left", "set": {"model.right.width": 2}, "sweep": grid}})
    assert list(found) == ["grid_1", "grid_2", "grid_3", "grid_4"]
    assert found["grid_2"] == (
        "{from}, model.right.width=2, model.left.width=0.25, model.dropout=0.1",
        "left",
        {"model.dropout": 0.1, "model.left.width": 0.25, "model.right.width": 2.0},
    )
    titled = variants({"grid": {"from": "left", "title": "grid", "sweep": {"model.left.width": [0.25, 0.5]}}})
    assert [title for title, _, _ in titled.values()] == ["grid, model.left.width=0.25", "grid, model.left.width=0.5"]


def test_the_name_of_a_sweep_stands_for_its_rows():
    experiment = {
        "rows": ["left", "narrow", "right"],
        "without": ["narrow"],
        "contrasts": {"row": "left", "against": ["narrow"]},
    }
    found = settled({"narrow": {"from": "left", "sweep": {"model.left.width": [0.25, 0.5]}}}, experiment).experiment
    assert found.rows == ["left", "narrow_1", "narrow_2", "right"]
    assert found.without == found.contrasts.against == ["narrow_1", "narrow_2"]


def test_a_resolved_config_reads_back_to_the_same():
    sweep = {"model.left.sparsity": [None, {"k": 0.1, "per_k": 0.5}], "training.epochs": [20, 5]}
    config = settled({"a": {"from": "left", "sweep": sweep}, "b": {"from": "a_4", "set": {"training.lr": 0.1}}})
    assert config.experiment.variants["a_1"].set == {}
    again = check_config(yaml.safe_load(dump_config(config)), "again")
    assert again == config


def test_variants_can_be_given_on_the_command_line():
    typed = ["experiment.variants.a.from=left", "experiment.variants.a.set.model.left.width=0.5"]
    more = ["experiment.variants.a.set.model.left.arch=vgg11", "experiment.variants.b={from: a, set: {training.lr: 1}}"]
    found = read_config(None, ["model.dropout=0.1", *typed, *more]).experiment.variants
    assert found["a"].set == {"model.left.arch": "vgg11", "model.left.width": 0.5}
    assert found["b"].set["training.lr"] == 1.0 and found["b"].set["model.left.width"] == 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"set": {"model.left.widht": 1}}, r"experiment\.variants\.a\.set: .*did you mean model\.left\.width\?"),
        ({"set": {"model.left.width": "x"}}, r"experiment\.variants\.a\.set: model\.left\.width: .*not 'x'"),
        ({"set": {"model.left.width.x": 1}}, r"experiment\.variants\.a\.set: .*width.*\{'x': 1\}"),
        ({"set": {"model.mode_heads.x": 1}}, r"experiment\.variants\.a\.set: .*mode_heads.*not \{'x': 1\}"),
        ({"set": {"training.epochs": 1, "training.warmup_epochs": 1}}, r"variants\.a\.set: .*warmup_epochs"),
        ({"set": {"data.root": "x"}}, r"experiment\.variants\.a\.set: a variant cannot change data\.root"),
        ({"set": {"experiment.rows": []}}, "a variant cannot change experiment.rows; it can change settings of model"),
        ({"set": {"modelled": 1}}, "a variant cannot change modelled"),
        ({"set": {"model..left": 1}}, r"a variant cannot change model\.\.left"),
        ({"sweep": {"seeds": [[0]]}}, r"experiment\.variants\.a\.sweep: a variant cannot change seeds"),
        ({"sweep": {"model.dropout": []}}, r"experiment\.variants\.a\.sweep\.model\.dropout: .*at least 1"),
        ({"sweep": {"model.dropout": 0.1}}, r"experiment\.variants\.a\.sweep\.model\.dropout: .*list"),
        ({"set": {"model.dropout": 0}, "sweep": {"model.dropout": [0]}}, "stands in `set` and in `sweep`"),
        ({}, r"experiment\.variants\.a: it changes nothing"),
        ({"sets": {}}, r"experiment\.variants\.a\.sets: unknown key; did you mean experiment\.variants\.a\.set\?"),
        ({"from": "a", "set": {}}, "a from a is a circle"),
        ({"from": "b", "set": {}}, "a from b from a is a circle"),
        ({"from": "many", "set": {}}, r"experiment\.variants\.a\.from: many is several rows; take one, such as many_1"),
        ({"from": None, "set": {}}, r"experiment\.variants\.a\.from"),
    ],
)
def test_what_is_no_variant_is_refused_and_named(given, message):
    others = {
        "b": {"from": "a", "set": {"model.dropout": 0.1}},
        "many": {"from": "left", "sweep": {"model.dropout": [0, 0.1]}},
    }
    with pytest.raises(ConfigError, match=message):
        settled({"a": {"from": "left", **given}, **others})


def test_errors_of_variants_begin_with_the_file(tmp_path):
    path = tmp_path / "mine.yaml"
    for given in ({"from": "a", "set": {}}, {"from": "left", "set": {"model.left.width": "x"}}):
        path.write_text(json.dumps({"experiment": {"variants": {"a": given}}}))
        with pytest.raises(ConfigError) as error:
            read_config(path)
        assert all(line.startswith(f"{path}: experiment.variants") for line in str(error.value).splitlines())


def test_names_of_variants_are_plain_and_each_of_one_row():
    with pytest.raises(ConfigError, match="'a b' is no name of a row"):
        settled({"a b": {"from": "left", "set": {}}})
    sweep = {"from": "left", "sweep": {"model.dropout": [0, 0.1]}}
    with pytest.raises(ConfigError, match="a_1 is the name of two rows"):
        settled({"a_1": {"from": "left", "set": {}}, "a": sweep})
    with pytest.raises(ConfigError, match=r"experiment\.contrasts\.row: a is several rows; take one, such as a_1"):
        settled({"a": sweep}, {"contrasts": {"row": "a"}})


def test_a_variant_is_the_same_whatever_else_is_made_of_the_row_that_it_comes_from():
    callosum = {"model.bridges.callosum": {"kind": "additive", "between": {"left": "res1", "right": "res1"}}}
    given = {
        "callosum": {"from": "nonspecialised", "set": callosum},
        "inhibitory": {"from": "callosum", "set": {"model.bridges.callosum.sign": "inhibitory"}},
        "one_way": {"from": "callosum", "set": {"model.bridges.callosum.direction": "to_right"}},
        "later": {"from": "callosum", "set": {"model.left.width": 0.5}},
    }
    options = {}
    for name, (_, _, changes) in variants(given).items():
        [bridges] = [value for key, value in changes.items() if key.startswith("model.bridges")]
        options[name] = bridges["options"]
    assert options["callosum"]["sign"] == options["one_way"]["sign"] == options["later"]["sign"] == "free"
    assert options["inhibitory"]["sign"] == "inhibitory" and options["inhibitory"]["direction"] == "both"
    assert options["one_way"]["direction"] == "to_right" and options["later"]["direction"] == "both"
