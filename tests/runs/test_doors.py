"""Any text as a config file."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bilateral.runs.config import dump_config, read_config
from doors import many, passes

PRESETS = sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))
words = st.sampled_from(
    [
        "010",
        "1:30",
        "no",
        "~",
        "1e999",
        ".inf",
        ".nan",
        "[]",
        "{}",
        "2024-01-01",
        "-1",
        "''",
        "0.5",
        "evil:load",
        "*a",
        "true",
        "$HOME",
    ]
)
words |= st.sampled_from(["&a [1]", "<<: *a", "!!int ''", "!!python/name:os.system", "\x1b[31m", "9" * 400])


@st.composite
def mutated(draw):
    """A preset with some of its text replaced."""
    text = draw(st.sampled_from(PRESETS)).read_text(encoding="utf-8")
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(words | st.text(max_size=6)) + text[end:]
    return text


@st.composite
def replaced(draw):
    """A preset with some of its values replaced by values of any kind."""
    found = yaml.safe_load(draw(st.sampled_from(PRESETS)).read_text(encoding="utf-8"))
    for _ in range(draw(st.integers(1, 3))):
        place = found
        while True:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            place[key] = draw(
                st.none()
                | st.booleans()
                | st.integers()
                | st.floats()
                | st.text()
                | st.lists(st.integers(), max_size=3)
            )
            break
    return yaml.safe_dump(found)


@many
@given(mutated() | replaced() | st.text())
def test_any_config_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))

    def read():
        config = read_config(path)
        path.write_text(dump_config(config), encoding="utf-8")
        assert read_config(path) == config

    passes(read, path.parent)


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"---\n", b"~"])
def test_an_empty_config_says_that_it_is_empty(tmp_path, content):
    (tmp_path / "x.yaml").write_bytes(content)
    assert "x.yaml is empty" in passes(lambda: read_config(tmp_path / "x.yaml"), tmp_path)
