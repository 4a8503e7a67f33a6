import importlib
from pathlib import Path

import pytest

from bilateral.base.errors import ConfigError
from bilateral.data.config import DataConfig, ShapesConfig
from bilateral.data.sources import SOURCES, find_loader, load


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_has_its_loader(name):
    module, _, function = SOURCES[name].loader.partition(":")
    assert find_loader(DataConfig(name=name)) is getattr(importlib.import_module(module), function)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_reads_known_settings_alone(name):
    assert SOURCES[name].reads <= set(DataConfig.model_fields)


def test_a_loader_of_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "own_source.py").write_text("def read(config):\n    return config.root\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load(DataConfig(name="own_source:read", root=tmp_path, num_workers=1)) == tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar", "unknown source 'cifar'; allowed: shapes, cifar100, folders, or package.module:function"),
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


def test_settings_of_all_sources():
    find_loader(DataConfig(name="shapes", validation_fraction=0.2, split_seed=3))
