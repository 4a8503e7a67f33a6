from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from bilateral.base.section import Section, Text, UserPath, user_path


class Example(Section):
    count: int = 1
    share: float = 0.5
    flag: bool = False
    name: Text = "x"
    place: UserPath = Path()


@pytest.mark.parametrize(
    "values",
    [
        {"count": 10.0},
        {"count": "10"},
        {"count": True},
        {"share": float("inf")},
        {"share": float("nan")},
        {"share": True},
        {"share": "0.5"},
        {"flag": 1},
        {"flag": "yes"},
        {"name": 1.10},
        {"name": True},
        {"place": 7},
        {"place": "a\0b"},
        {"place": "~nobody-at-all/x"},
        {"place": "$NO_SUCH_VARIABLE/x"},
        {"place": "\udcff"},
        {"other": 1},
    ],
)
def test_values_must_be_of_their_keys_type(values):
    with pytest.raises(ValidationError):
        Example.model_validate(values)


def test_what_means_the_same_is_taken(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DATA", "/data")
    found = Example.model_validate({"share": 1, "name": 7, "place": "~/x"})
    assert found.share == 1.0 and found.name == "7" and found.place == Path("/home/me/x")
    assert user_path(Path("$DATA/a/${DATA}b")) == Path("/data/a//datab")
    assert Example.model_validate_json(found.model_dump_json()) == found
    assert Example.model_validate(found.model_dump()) == found


def test_sections_that_are_equal_have_one_hash_whatever_they_hold():
    class Outer(Section):
        inner: Example = Example()
        options: dict[str, object] = Field({})
        seeds: list[int] = Field([])

    one, same, other = (Outer(options={"std": std}, seeds=[1]) for std in (0.1, 0.1, 0.2))
    assert one == same and hash(one) == hash(same)
    assert hash(one) != hash(other)
