import sys

import pytest

from bilateral.base.errors import CheckpointError, ConfigError, DataError
from bilateral.base.own_code import call, is_own, load_object, refuse_strange


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def test_own_code_is_found_in_the_working_folder(here):
    (here / "mine_in_own_code.py").write_text("class Thing:\n    inner = 3\n")
    assert load_object("mine_in_own_code:Thing", "arch").__name__ == "Thing"
    assert load_object("mine_in_own_code:Thing.inner", "arch") == 3
    assert is_own("mine:Thing") and not is_own("resnet9")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere_at_all:Thing", "cannot import 'nowhere_at_all:Thing': ModuleNotFoundError"),
        ("os.path:nothing", "AttributeError"),
        ("a/b:C", "must have the form package.module:Object"),
        ("../evil:C", "must have the form"),
        ("a:", "must have the form"),
        (":C", "must have the form"),
        ("a:b:c", "must have the form"),
        ("a b:c", "must have the form"),
        ("leaves:Thing", r"SystemExit: 3 \(.*leaves.py, line 2\)"),
        ("broken:Thing", "SyntaxError"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(here, name, message):
    (here / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    (here / "broken.py").write_text("def (:\n")
    with pytest.raises(ConfigError, match=message) as found:
        load_object(name, "arch")
    assert str(found.value).startswith("arch: ") and "\n" not in str(found.value)


def test_a_name_that_is_nearly_right_and_a_module_that_is_not_there_get_a_hint(here):
    (here / "near_in_own_code.py").write_text("class Bend:\n    pass\n")
    with pytest.raises(ConfigError, match=r"near_in_own_code has no Bned; did you mean Bend\?$"):
        load_object("near_in_own_code:Bned", "arch")
    with pytest.raises(ConfigError, match=rf"No module named 'naer'; it was looked for in {here} and where Python"):
        load_object("naer:Bend", "arch")


def test_a_failing_call_says_where(here):
    (here / "failing_in_own_code.py").write_text("def load(config):\n    raise ValueError('no\\nidea')\n")
    load = load_object("failing_in_own_code:load", "data.name")
    with pytest.raises(DataError, match=r"it failed: ValueError: no idea \(.*failing_in_own_code.py, line 2\)"):
        call(lambda: load(None), "it", DataError)
    with pytest.raises(CheckpointError, match="as it is"):
        call(lambda: (_ for _ in ()).throw(CheckpointError("as it is")), "it", DataError)


def test_a_file_names_no_code_but_what_the_user_names_too():
    refuse_strange(["resnet9", "mine:Thing"], ["mine:Thing"], "x.yaml", ConfigError)
    with pytest.raises(
        CheckpointError, match=r"x.yaml names code that is not part of bilateral, 'evil:load'.*--own evil:load"
    ):
        refuse_strange(["resnet9", "evil:load"], ["mine:Thing"], "x.yaml", CheckpointError)
    with pytest.raises(ConfigError, match=r"--own mine:Thing .*; mine:Thnig was named$"):
        refuse_strange(["mine:Thing"], ["mine:Thnig"], "x.yaml", ConfigError)
