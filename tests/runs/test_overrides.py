from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bilateral.base.errors import ConfigError
from bilateral.runs.config import Config, read_config
from bilateral.runs.overrides import override
from doors import many, passes


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("training.epochs=010", "training.epochs", 10),
        ("training.epochs=1_0", "training.epochs", 10),
        ("seeds=[007, 010]", "seeds", [7, 10]),
        ("name=1.10", "name", "1.10"),
        ("name=007", "name", "007"),
        ("name=no", "name", "no"),
        ("name=null", "name", "null"),
        ("save_dir=2024-01-01", "save_dir", Path("2024-01-01")),
        ("save_dir=/x/hash #2", "save_dir", Path("/x/hash #2")),
        ("save_dir=/x/{a: b}", "save_dir", Path("/x/{a: b}")),
        ("training.lr=1e-3", "training.lr", 1e-3),
        ("training.lr=1", "training.lr", 1.0),
        ("training.flip=False", "training.flip", False),
        ("training.flip=no", "training.flip", False),
        ("workers=2", "workers", 2),
        ("workers=auto", "workers", "auto"),
        ("model.left.freeze=untrained", "model.left.freeze", "untrained"),
        ("model.left.batch_norm_momentum=original", "model.left.batch_norm_momentum", "original"),
        ("model.left.batch_norm_momentum=0.5", "model.left.batch_norm_momentum", 0.5),
        ("data.name=folders", "data.root", None),
        ("data.root=null", "data.root", None),
        ("data.image_size=", "data.image_size", None),
        ("model.left={arch: vgg11, width: 0.5}", "model.left.arch", "vgg11"),
        ("model.left={arch: vgg11, width: 0.5}", "model.left.width", 0.5),
        ("pretraining.left={epochs: 3}", "pretraining.left.epochs", 3),
        ("data.shapes.seed=03", "data.shapes.seed", 3),
        ("exp_name=1.0", "name", "1.0"),
        ("hparams.lr=1e-3", "training.lr", 1e-3),
        ("hparams.ffreeze=True", "model.left.freeze", True),
        ("trainer_params.max_epochs=7", "training.epochs", 7),
        ("trainer_params.devices=1", "name", "bilateral"),
    ],
)
def test_a_value_is_the_text_that_was_typed_read_by_the_type_of_its_key(text, key, value):
    found = read_config(None, [text])
    for name in key.split("."):
        found = getattr(found, name)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training.epochs=10.0", "training.epochs: Input should be a valid integer, not '10.0'"),
        ("training.epochs=1:30", "training.epochs"),
        ("training.epochs=1e1", "training.epochs"),
        ("training.epochs=true", "training.epochs"),
        ("training.epochs=٣", "training.epochs"),
        ("training.lr=inf", "training.lr: Input should be a finite number"),
        ("training.lr=.inf", "training.lr"),
        ("training.lr=nan", "training.lr: Input should be a finite number"),
        ("training.lr=1e999", "training.lr: Input should be a finite number"),
        ("training.muon_lr=1e400", "finite"),
        ("model.left.width=inf", "finite"),
        ("data.validation_fraction=nan", "finite"),
        ("training.flip=1", "training.flip"),
        ("training.batch_size=100000000000000000000", "training.batch_size"),
        ("training.feature_views=9999999999999", "training.feature_views"),
        ("training.lr=1e300", "training.lr: Input should be less than or equal to 1"),
        ("seeds=[99999999999999999999]", "seeds"),
        ("seeds=7", "seeds"),
        ("seeds=[0, 1.0]", "seeds.1"),
        ("seeds=[0, 1", "seeds"),
        ("seeds={0: 1}", "seeds"),
        ("seeds=[1:30]", "seeds"),
        ("model.left=vgg11", "model.left"),
        ("model.left={arch: vgg11", "model.left"),
        ("save_dir=~nobody-at-all/x", "save_dir: there is no home ~nobody-at-all"),
        ("save_dir=$NO_SUCH_VARIABLE", "save_dir: the environment has no variable NO_SUCH_VARIABLE"),
        ("save_dir=a\0b", "save_dir"),
        ("save_dir=\udcff", "save_dir: its name is no UTF-8 text"),
        ("name=", "name"),
        ("name=a b", "name"),
        ("=3", "must have the form key=value"),
        ("training.=3", "must have the form key=value"),
        ("training", "must have the form key=value"),
        ("training..epochs=3", "must have the form key=value"),
        ("training.epochs.x=3", "training.epochs"),
        ("trainer_params.devices=1.5", "devices"),
        ("hparams.lr=x", "training.lr"),
    ],
)
def test_what_cannot_be_read_so_is_refused(text, message):
    with pytest.raises(ConfigError) as found:
        read_config(None, [text])
    assert message in str(found.value)


def test_what_is_given_is_left_as_it_was():
    values = {"training": {"epochs": 3}}
    assert override(values, ["training.epochs=4", "name=x"], type(read_config(None)))["training"]["epochs"] == 4
    assert values == {"training": {"epochs": 3}}


keys = st.sampled_from(
    ["training.epochs", "training.lr", "training", "seeds", "name", "save_dir", "model.left", "model.left.arch", "x"]
)
keys |= st.sampled_from(
    ["workers", "data.root", "data.name", "experiment.rows", "model.left.freeze", "trainer_params.devices"]
)
keys |= st.sampled_from(
    ["hparams.model_path_fine", "experiment.end_to_end.epochs", "checkpoints.monitor", "model.members"]
)
values = st.text() | st.sampled_from(
    ["", "null", "[", "{", "[0]", "{a: 1}", "1e999", "0" * 5000, "[" * 2000, "evil:load"]
)


@many
@given(st.lists(st.tuples(keys, values).map("=".join) | st.text(), max_size=3))
def test_any_override_is_read_or_refused(tmp_path_factory, overrides):
    passes(lambda: read_config(None, overrides), tmp_path_factory.getbasetemp())


def test_what_no_type_is_known_of_is_read_as_in_yaml_however_deep_it_stands():
    noise = "{after: conv2, std: 0.1, sides: [1, false, no, x: y], name: null}"
    found = override(
        {}, [f"experiment.variants={{n: {{from: left, set: {{model.left.parts.noise: {noise}}}}}}}"], Config
    )
    settings = found["experiment"]["variants"]["n"]["set"]["model.left.parts.noise"]
    assert settings == {"after": "conv2", "std": 0.1, "sides": [1, False, "no", {"x": "y"}], "name": None}
