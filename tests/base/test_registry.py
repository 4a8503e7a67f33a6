"""From names to code, and from settings to options."""

from typing import Annotated

import pytest
from pydantic import Field

from bilateral.base.errors import ConfigError
from bilateral.base.registry import Registry, read_options
from bilateral.base.section import Section

REGISTRY = Registry("part", {"section": "bilateral.base.section:Section"})


class Kind:
    class Options(Section):
        std: Annotated[float, Field(ge=0)]
        training: bool = True


def test_a_name_is_followed_where_it_is_registered_or_ones_own():
    assert REGISTRY.find("section", "kind") is Section
    assert REGISTRY.find("bilateral.base.registry:Registry", "kind") is Registry


@pytest.mark.parametrize(
    "name, told",
    [
        ("sektion", "a.kind: unknown part 'sektion'; did you mean section? allowed: section, or package.module:Class"),
        ("noise", "a.kind: unknown part 'noise'; allowed: section, or package.module:Class"),
        ("no_module:Part", "a.kind: cannot import 'no_module:Part'"),
        ("a b:c", "a.kind: 'a b:c' must have the form"),
    ],
)
def test_a_name_of_nothing_is_told(name, told):
    with pytest.raises(ConfigError) as caught:
        REGISTRY.find(name, "a.kind")
    assert str(caught.value).startswith(told)


def test_options_are_checked_and_completed():
    assert read_options(Kind, {"std": 0.5}, "a").model_dump() == {"std": 0.5, "training": True}
    assert read_options(object, {}, "a").model_dump() == {}


@pytest.mark.parametrize(
    "kind, given, told",
    [
        (Kind, {"std": -1}, "a.std: Input should be greater than or equal to 0, not -1"),
        (Kind, {"std": 1.0, "strength": 2}, "a.strength: unknown setting; Kind has: std, training"),
        (Kind, {}, "a.std: is missing"),
        (object, {"x": 1}, "a.x: unknown setting; object has: none"),
    ],
)
def test_what_a_kind_does_not_read_is_refused(kind, given, told):
    with pytest.raises(ConfigError) as caught:
        read_options(kind, given, "a")
    assert str(caught.value) == told


def test_options_that_are_no_section_are_refused():
    class Odd:
        Options = dict

    with pytest.raises(ConfigError, match="a: the Options of Odd must be a subclass"):
        read_options(Odd, {}, "a")


def test_the_settings_of_a_function_are_its_own_or_those_of_its_module(tmp_path, monkeypatch):
    source = "from bilateral.base.section import Section\n\nclass Options(Section):\n    noise: float = 0.5\n"
    (tmp_path / "made_source.py").write_text(f"{source}\ndef load(config): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    load = Registry("source", {}).find("made_source:load", "data.name")
    assert read_options(load, {}, "data.options").noise == 0.5
    with pytest.raises(ConfigError, match=r"data\.options\.loud: unknown setting; this kind has: noise"):
        read_options(load, {"loud": 1}, "data.options")
    load.Options = Kind.Options
    assert read_options(load, {"std": 1.0}, "data.options").std == 1.0
