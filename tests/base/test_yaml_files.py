import math
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bilateral.base.yaml_files import YamlError, parse_yaml, read_yaml, to_yaml
from doors import many

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{own}: &{own} [{','.join([f'*{above}'] * 9)}]\n" for above, own in zip("abcdefgh", "bcdefghi")
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1.10", 1.1),
        (".5", 0.5),
        ("-1.5E+3", -1500.0),
        ("-12", -12),
        ("1_000", 1000),
        ("0x10", 16),
        ("0", 0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("# nothing", None),
        ("'010'", "010"),
        ('"no"', "no"),
        ("1.2.3", "1.2.3"),
        ("c:/x y #1", "c:/x y"),
        ("n", "n"),
        ("[a, 1]", ["a", 1]),
    ],
)
def test_what_means_the_same_to_a_person_and_to_yaml_is_read(text, value):
    found = parse_yaml(text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *("010", "007", "0100", "-01", "0o17", "0b11", "01.5", "[1, 010]"),
        *("1:30", "190:20:30.15", "2024-01-01", "2001-12-14t21:59:43.10-05:00"),
        *("no", "Yes", "on", "OFF", "a: {b: no}"),
    ],
)
def test_what_does_not_is_refused_with_its_line(text):
    with pytest.raises(YamlError, match=r"line 1, column \d+: .* put it in quotes"):
        parse_yaml(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "line 2, column 1: the key 'a' is given twice"),
        ("? [1]\n: 2", "a key must be a single word"),
        ("a: [1", "line 1"),
        ("a: !!int ''", "not of the kind"),
        ("a: !!float x", "not of the kind"),
        ("a: !!timestamp 2024-01-01", "constructor"),
        ("a: !!set {b}", "constructor"),
        ("a: !!bool 7", "not of the kind"),
        ("a: !!binary aGk=", "constructor"),
        ("a: !!python/object:os.system {}", "constructor"),
        ("a: &x {b: *x}", "an alias stands within what it names"),
        ("&x [*x]", "an alias stands within what it names"),
        ("a: \x1b", "special characters"),
        ("[" * 5000, "nested too deeply"),
        ("a: *nothing", "undefined alias"),
        ("a: 1\n---\nb: 2", "document"),
        (BOMB, "aliases stand for more than 200,000 values"),
    ],
)
def test_what_is_no_plain_data_is_refused(text, message):
    started = time.process_time()
    with pytest.raises(YamlError, match=message):
        parse_yaml(text)
    assert time.process_time() - started < 1


def test_few_aliases_and_merges_are_welcome():
    assert parse_yaml("base: &b {x: 1, y: 2}\nown: {<<: *b, y: 3}")["own"] == {"x": 1, "y": 3}


def test_every_value_as_it_was_typed():
    assert parse_yaml("[007, 1.10, no, 2024-01-01, 'null', null]", as_text=True) == [
        *("007", "1.10", "no", "2024-01-01", "null"),
        None,
    ]


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    with pytest.raises(YamlError, match="no UTF-8 text: byte 9 is 0xe9"):
        read_yaml(tmp_path / "latin.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(OSError, match="it is a pipe"):
        read_yaml(tmp_path / "pipe.yaml")
    with pytest.raises(OSError, match="a folder"):
        read_yaml(tmp_path)
    with pytest.raises(OSError, match="a device"):
        read_yaml(tmp_path.__class__("/dev/zero"))
    (tmp_path / "large.yaml").write_text("#" * (2**22 + 1))
    with pytest.raises(OSError, match="more than 4,194,304 bytes"):
        read_yaml(tmp_path / "large.yaml")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@many
@given(plain)
def test_what_is_written_reads_back(values):
    assert parse_yaml(to_yaml(values)) == values


@many
@given(st.text("ab:-0123456789.[]{}&*!|>'\"%@`#,? \n\teExXnoyYtf_~<", max_size=60) | st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        found = parse_yaml(text)
    except YamlError as error:
        assert str(error)
        return
    assert found is None or isinstance(found, (bool, int, float, str, list, dict))
    assert not isinstance(found, float) or not math.isnan(found) or "nan" in text.lower()
