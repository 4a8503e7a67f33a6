"""The examples in docstrings and in docs/python.md, and the public face that `bilateral.__all__` lists."""

import doctest
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

import bilateral
from conftest import QUICK, TINY_EXPERIMENT

PAGE = Path(__file__).parents[1] / "docs" / "python.md"

MODULES = [each.name for each in pkgutil.walk_packages(bilateral.__path__, "bilateral.") if "__main__" not in each.name]


def with_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in MODULES:
        module = import_module(name)
        for test in finder.find(module, name):
            if test.examples:
                yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("example", list(with_examples()))
def test_an_example_in_a_docstring_says_what_it_does(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example).failed == 0


@pytest.mark.parametrize("name", [name for name in bilateral.__all__ if name != "__version__"])
def test_every_public_function_has_an_example(name):
    function = getattr(bilateral, name)
    assert callable(function) and ">>> " in function.__doc__, name


def test_what_is_not_public_is_not_there():
    with pytest.raises(AttributeError, match="'bilateral' has no attribute 'nothing'"):
        _ = bilateral.nothing


def test_the_page_on_python_is_true(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = "experiment.rows=[left, right, specialised, two_left]"
    smaller = {
        '{"name": "shapes"}': '{"shapes": {"train_per_class": 2, "test_per_class": 1}}',
        '"width": 0.25': '"width": 0.0625',
        '"configs/experiment/quick.yaml", ["seeds=[0, 1]"]': repr((str(QUICK), [*TINY_EXPERIMENT, rows, "seeds=[0]"]))[
            1:-1
        ],
    }
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for given, small in smaller.items():
            block = block.replace(given, small)
        exec(block, names)
    assert names["output"].features["left"].shape[0] == 4
    assert names["predictions"].logits["fine"].shape[1] == 40
    printed = capsys.readouterr().out
    assert "bilateral, two left hemispheres {0: " in printed
    for name in bilateral.__all__:
        assert name.startswith("__") or f"`bilateral.{name}(" in PAGE.read_text()
