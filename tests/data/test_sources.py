import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from bilateral.base.errors import ConfigError, DataError
from bilateral.base.registry import read_options
from bilateral.data.config import DataConfig, ShapesConfig
from bilateral.data.sources import REGISTRY, SOURCES, find_loader, load


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_has_its_loader(name):
    module, _, function = SOURCES[name].loader.partition(":")
    assert find_loader(DataConfig(name=name)) is getattr(import_module(module), function)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_reads_known_settings_alone(name):
    assert SOURCES[name].reads <= set(DataConfig.model_fields)


OWN = """
import sys
import bilateral.data.shapes

number = 5

def read(config):
    return bilateral.data.shapes.load(config.model_copy(update={"name": "shapes"}))

def broken(config):
    return [][config.split_seed]

def leaving(config):
    sys.exit(0)

def empty(config):
    return None

def folder(config):
    return config.root
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_source.py").write_text(OWN)
    (tmp_path / "own_leaves.py").write_text("import sys\nsys.exit(0)\n")
    (tmp_path / "own_wrong.py").write_text("def read(:\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_loader_of_the_users_own(own):
    shapes = ShapesConfig(train_per_class=2, test_per_class=1)
    dataset = load(DataConfig(name="own_source:read", num_workers=1, shapes=shapes))
    assert dataset.fingerprint == load(DataConfig(shapes=shapes)).fingerprint


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("own_source:broken", DataError, r"'own_source:broken' failed: IndexError: .*own_source\.py, line 11"),
        ("own_source:leaving", DataError, "'own_source:leaving' failed: SystemExit: 0"),
        ("own_source:empty", DataError, "gave an object of type NoneType; it must return a .*HierarchicalDataset"),
        ("own_source:folder", DataError, "gave an object of type NoneType"),
        ("own_source:number", ConfigError, "'own_source:number' is of type int, not a function"),
        ("os.path:join", DataError, "data.name: 'os.path:join' failed: TypeError"),
        ("own_leaves:read", ConfigError, "cannot import 'own_leaves:read': SystemExit: 0"),
        ("own_wrong:read", ConfigError, "cannot import 'own_wrong:read': SyntaxError"),
        ("own_source:", ConfigError, "must have the form package.module:Object"),
        (":read", ConfigError, "must have the form package.module:Object"),
        ("a:b:c", ConfigError, "must have the form package.module:Object"),
    ],
)
def test_own_code_that_gives_no_data_set_is_one_sentence(own, name, error, message):
    with pytest.raises(error, match=message):
        load(DataConfig(name=name))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar", f"unknown source 'cifar'; did you mean cifar100\\? allowed: {REGISTRY}"),
        ("no_such_module:read", "cannot import 'no_such_module:read'"),
        ("bilateral.data.sources:no_such_function", "cannot import 'bilateral.data.sources:no_such_function'"),
    ],
)
def test_unknown_sources(name, message):
    with pytest.raises(ConfigError, match=message):
        find_loader(DataConfig(name=name))


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"name": "shapes", "root": Path("somewhere")}, "root"),
        ({"name": "shapes", "image_size": 32}, "image_size"),
        ({"name": "cifar100", "train_dir": Path("somewhere")}, "train_dir"),
        ({"name": "folders", "download": True}, "download"),
        ({"name": "folders", "shapes": ShapesConfig(seed=1)}, "shapes"),
    ],
)
def test_a_setting_that_the_source_does_not_read(settings, field):
    with pytest.raises(
        ConfigError, match=rf"data\.{field}: the source '{settings['name']}' does not read it; it reads: "
    ):
        find_loader(DataConfig(**settings))


PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


def test_the_pages_own_source_is_one(tmp_path, monkeypatch):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "my_data.py").write_text(example)
    monkeypatch.syspath_prepend(tmp_path)
    assert len(load(DataConfig(name="my_data:load", options={"per_class": 4})).train) == 12
    with pytest.raises(ConfigError, match=r"data\.options\.colour: unknown setting; this kind has: per_class"):
        load(DataConfig(name="my_data:load", options={"colour": 4}))


def test_the_pages_examples_and_settings_are_those_that_are_read():
    examples = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    configs = [DataConfig.model_validate(each["data"]) for each in examples if "data" in each]
    assert {config.name for config in configs} == SOURCES.keys() - {"navon"}
    for config in configs:
        read_options(find_loader(config), config.options, "data.options")
    for name in ("table", "huggingface", "folders"):
        for option in import_module(SOURCES[name].loader.partition(":")[0]).Options.model_fields:
            assert re.search(
                rf"^\| `data\.options\..*`{option}`|^\| .*`data\.options\.{option}`", PAGE, re.MULTILINE
            ), option


def test_settings_of_all_sources():
    find_loader(DataConfig(name="shapes", validation_fraction=0.2, split_seed=3))
