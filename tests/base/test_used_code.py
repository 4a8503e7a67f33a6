import compileall
import sys
import textwrap
from pathlib import Path

import pytest

from bilateral.base import used_code
from bilateral.base.errors import ConfigError


def forget() -> None:
    for kept in (used_code._read, used_code._is_library):
        kept.cache_clear()


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes modules of the user's own, each with the file's name; `used("mine:Mine")` gives what is used."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(**modules: str) -> None:
        for name, text in modules.items():
            path = tmp_path / f"{name.replace('__', '/', 1)}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(textwrap.dedent(text))
        forget()

    yield write
    forget()


def used(*roots: type | str) -> set[str]:
    return {":".join(place) for place in used_code.used_code(roots)}


def digest() -> str:
    return used_code.code_digest(["mine:Mine"])


MINE = """
    import helper
    from torch import nn
    from helper import SCALE as size

    class Mine(nn.Module):
        channels = 3 * size

        def forward(self, images):
            return helper.double(nn.ReLU()(images))

    class Unused:
        pass
"""
HELPER = """
    SCALE = 2
    FACTOR = 2

    def double(values):
        return FACTOR * values

    def unused(values):
        return values
"""


def test_names_are_followed_through_modules_and_no_further(write):
    write(mine=MINE, helper=HELPER)
    assert used("mine:Mine") == {"mine:Mine", "helper:SCALE", "helper:double", "helper:FACTOR"}


@pytest.mark.parametrize(
    ("module", "old", "new", "counts"),
    [
        ("helper", "SCALE = 2", "SCALE = 3", True),
        ("helper", "FACTOR = 2", "FACTOR = 3", True),
        ("helper", "FACTOR * values", "values * FACTOR", True),
        ("helper", "return values", "return None", False),
        ("helper", "SCALE = 2", "# a remark\n    SCALE = (2)\n    'what it is'", False),
        ("helper", "def double(values):", "def double(values: int) -> float:\n        '''Twice.'''", False),
        ("helper", "SCALE = 2", "SCALE: int = 2", False),
        ("helper", "SCALE = 2", "import math\n    SCALE = 2", False),
        ("helper", "SCALE = 2", "SCALE = 2\n    UNUSED = 1", False),
        ("helper", "SCALE = 2", "SCALE = 2\n    SCALE += 1", True),
        ("helper", "SCALE = 2", "import sys\n    sys.flags = 1\n    SCALE = 2", True),
        ("helper", "SCALE = 2", "print('imported')\n    SCALE = 2", True),
        ("helper", "SCALE = 2", "if __name__ == '__main__':\n        print('alone')\n    SCALE = 2", False),
        ("mine", "class Unused:", "class Unused(nn.Module):", False),
        ("mine", "channels = 3", "width = 3", True),
        ("mine", "from torch import nn", "from helper import nn", True),
        ("mine", "import SCALE as size", "import FACTOR as size", True),
        ("mine", "class Mine(nn.Module)", "class Mine(nn.Sequential)", True),
    ],
)
def test_what_counts(write, module, old, new, counts):
    texts = {"mine": MINE, "helper": HELPER}
    write(**texts)
    before = digest()
    assert old in texts[module]
    write(**texts | {module: texts[module].replace(old, new)})
    assert (digest() != before) is counts


@pytest.mark.parametrize(
    "mine",
    [
        "import helper\nclass Mine:\n    x = helper.SCALE",
        "import helper as other\nclass Mine:\n    x = other.SCALE",
        "from helper import *\nclass Mine:\n    x = SCALE",
        "class Mine:\n    def x(self):\n        from helper import SCALE\n        return SCALE",
        "class Mine:\n    def x(self):\n        import helper as other\n        return other.SCALE",
        "import helper\n@helper.SCALE\nclass Mine:\n    pass",
        "import helper\nclass Mine(helper.SCALE):\n    pass",
        "import helper\nclass Mine:\n    x: helper.SCALE",
        "import helper\nclass Mine:\n    def x(self, y: helper.SCALE): pass",
        "import helper\nclass Mine:\n    def x(self, y=helper.SCALE): pass",
        "import helper\nclass Mine:\n    x = lambda: [helper.SCALE for _ in ()]",
        "import helper\nclass Mine:\n    def x(self): return getattr(helper, 'SCALE')",
        "from helper import SCALE\nclass Mine:\n    SCALE = SCALE",
        "try:\n    from absent import x\nexcept Exception:\n    from helper import SCALE as x\nclass Mine:\n    y = x",
        "from helper import SCALE\nMine = type('Mine', (), {'x': SCALE})",
        "from helper import SCALE\nif SCALE:\n    class Mine: pass\nelse:\n    class Mine: x = 1",
        "from helper import SCALE\nSCALE.append(1)\nclass Mine: pass",
        "import helper\nhelper.FACTOR = helper.SCALE\nclass Mine: pass",
        "from again import TWICE\nclass Mine:\n    x = TWICE",
        "import helper\nfrom again import add\n@add\ndef f(): return helper.SCALE\nclass Mine: pass",
        "import again\nclass Mine:\n    x = again.hidden",
        "class Mine:\n    def x(self):\n        import acting",
        "import shown\nclass Mine:\n    x = vars(shown)",
    ],
)
def test_every_way_to_a_name_is_found(write, mine):
    write(mine=mine, helper="SCALE = 2\n", acting="import helper\nhelper.FACTOR = helper.SCALE\n")
    write(shown="from helper import SCALE\n")
    write(again="from helper import SCALE as TWICE\ndef __getattr__(name): return TWICE\ndef add(f): pass\n")
    before = digest()
    write(helper="SCALE = 3\n")
    assert digest() != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("from torch.nn import ReLU as x", "from torch.nn import GELU as x"),
        ("from helper import SCALE as x, FACTOR as y", "from helper import SCALE as y, FACTOR as x"),
    ],
)
def test_it_counts_what_a_name_stands_for(write, old, new):
    rest = "\nfrom helper import SCALE, FACTOR\nclass Mine:\n    z = x, SCALE, FACTOR\n"
    write(mine=old + rest, helper=HELPER)
    before = digest()
    write(mine=new + rest)
    assert digest() != before


def test_annotations_count_in_the_fields_of_classes_alone(write):
    def mine(field: str, other: str) -> str:
        write(
            mine=f"class Mine:\n    x: {field}\n    def forward(self, y: {other}) -> {other}:\n        z: {other} = y\n"
        )
        return digest()

    assert mine("int", "int") == mine("int", "float") != mine("float", "int")


def test_what_is_local_is_no_global_name(write):
    write(
        mine="""
            def scale(): return 2
            def shift(): return 3
            class Mine:
                def forward(self, scale):
                    shift = scale
                    return [shift for shift in range(scale)]
        """
    )
    assert used("mine:Mine") == {"mine:Mine"}


def test_packages_and_relative_imports_are_followed(write):
    write(
        own____init__="from . import settings\nfrom .parts import Part\n",
        own__settings="import torch\ntorch.backends.cudnn.benchmark = True\n",
        own__parts="from . import sizes\nfrom .sizes import HALF\nclass Part:\n    x = sizes.WHOLE, HALF\n",
        own__sizes="WHOLE, HALF = 1, 0.5\nUNUSED = 3\n",
        mine="from own import Part\nclass Mine(Part):\n    pass\n",
    )
    assert used("mine:Mine") == {"mine:Mine", "own.parts:Part", "own.sizes:WHOLE", "own.sizes:HALF", "own.settings:"}


def test_a_module_that_is_used_as_an_object_counts_whole(write):
    write(own____init__="from . import parts\n", own__parts="import large\nfrom helper import *\nX = 1\n")
    write(helper="SCALE = 2\n", large="UNUSED = 3\n")
    write(mine="import own\nclass Mine:\n    x = own.parts.X\nclass Whole:\n    x = vars(own.parts)\n")
    assert "own.parts:X" in used("mine:Mine")
    assert used("mine:Whole") == {"mine:Whole", "own.parts:X", "helper:SCALE"}


def test_imports_in_a_circle_end(write):
    write(mine="from other import Mine\n", other="try:\n    from mine import Mine\nexcept ImportError:\n    Mine = 1\n")
    assert "other:Mine" in used("mine:Mine")


def test_a_registry_does_not_count_and_what_it_names_does_not(write):
    registry = "from other import Registry\nHERE = 'mine'\nKINDS = Registry('kind', {'a': f'{HERE}.mine:Mine'%s})\n"
    mine = "class Mine:\n    def find(self, name): return KINDS[name]\n"
    write(mine=registry % "" + mine, other="class Registry: pass\n")
    before = digest()
    write(mine=registry % ", 'b': 'own.new:New'" + mine)
    assert digest() == before
    write(mine=registry % ", 'b': 1" + mine)
    assert digest() != before


def test_libraries_are_not_followed_but_one_that_is_named_is(write, tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    (site / "library.py").write_text("SCALE = 2\nclass Layer:\n    x = SCALE\n")
    write(mine="import library\nclass Mine(library.Layer):\n    pass\n")
    assert used("mine:Mine") == {"mine:Mine"}
    assert used("library:Layer") == {"library:Layer", "library:SCALE"}
    assert used("torch.nn:Linear") == set()


def test_a_module_without_source_counts_by_its_bytes(write, tmp_path):
    write(mine="from compiled import SCALE\nclass Mine:\n    x = SCALE\n")

    def compiled(text: str) -> str:
        (tmp_path / "compiled.py").write_text(text)
        compileall.compile_file(tmp_path / "compiled.py", quiet=2, legacy=True, force=True)
        (tmp_path / "compiled.py").unlink()
        forget()
        return digest()

    assert compiled("SCALE = 2\n") != compiled("SCALE = 3\n")
    assert used("mine:Mine") == {"mine:Mine", "compiled:*"}


def test_what_is_apart_does_not_count_nor_what_only_it_uses(write):
    write(mine=MINE, helper=HELPER)
    assert {":".join(place) for place in used_code.used_code(["mine:Mine"], ["helper"])} == {"mine:Mine"}


def test_a_class_is_a_root_like_its_name(write, monkeypatch):
    write(mine=MINE, helper=HELPER)
    import mine

    monkeypatch.delitem(sys.modules, "mine")
    monkeypatch.delitem(sys.modules, "helper")
    assert used(mine.Mine) == used("mine:Mine")


def test_a_script_may_hold_a_root_but_what_has_no_file_may_not(write, tmp_path, monkeypatch):
    script = type(sys)("__main__")
    monkeypatch.setitem(sys.modules, "__main__", script)
    with pytest.raises(ConfigError, match=r"'__main__:Mine' has no source file.*put it into a file"):
        used("__main__:Mine")
    write(script="class Mine:\n    pass\n")
    script.__file__ = str(tmp_path / "script.py")
    forget()
    assert used("__main__:Mine") == {"__main__:Mine"}


def test_the_digest_does_not_depend_on_place_or_order(write, tmp_path, monkeypatch):
    write(mine=MINE, helper=HELPER)
    before = digest()
    Path(tmp_path / "elsewhere").mkdir()
    for name in ("mine", "helper"):
        (tmp_path / f"{name}.py").rename(tmp_path / "elsewhere" / f"{name}.py")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    forget()
    assert digest() == before
