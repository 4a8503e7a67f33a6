import pytest
import yaml

from bilateral.base.errors import DataError
from bilateral.base.yaml_files import to_yaml
from bilateral.data.hierarchy import LabelHierarchy
from bilateral.data.hierarchy_file import FILE_NAME, StatedHierarchy, read_hierarchy
from data.strange import STRANGE, make_strange

GOOD = """
name: garden
coarse_names: [fish, tree]
fine_names: [shark, oak, trout]
coarse_of_fine: [0, 1, 0]
images: {train: 30, test: 6}
"""


def read(folder, text: str | bytes) -> StatedHierarchy | None:
    (folder / FILE_NAME).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_hierarchy(folder)


def test_it_is_read(tmp_path):
    stated = read(tmp_path, GOOD)
    assert stated is not None and stated.hierarchy.fine_names == ("shark", "oak", "trout")
    assert stated.images == {"train": 30, "test": 6}
    assert read_hierarchy(tmp_path / "absent") is None


def test_the_short_form(tmp_path):
    stated = read(tmp_path, "fish: [shark, 7]\ntree:\n- oak\n2: [x]\n")
    assert stated is not None and stated.hierarchy == LabelHierarchy(
        ("shark", "7", "oak", "x"), ("fish", "tree", "2"), (0, 0, 1, 2)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fish: [shark]\nbird: [shark]", "two fine labels are both named 'shark'"),
        ("fish: shark", r"hierarchy\.yaml: fish: Input should be a valid list"),
        ("fish: []", "fish: List should have at least 1 item"),
        ("fish: [1.5]", r"fish\.0: is text, but reads as a number; put it in quotes"),
        ("fish: [null]", r"fish\.0: Input should be a valid string"),
        ("fish: [a]\nfish: [b]", "the key 'fish' is given twice"),
    ],
)
def test_a_wrong_short_form(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize("names", [("007", "1e3", "no"), ("0x10", "1:30", "2024-01-01"), ("~", "true", "a\x1b[31m\n")])
def test_what_was_written_is_read_back(tmp_path, names):
    stated = StatedHierarchy(name="7", coarse_names=("x",), fine_names=names, coarse_of_fine=(0, 0, 0))
    assert read(tmp_path, to_yaml(stated.model_dump(mode="json"))) == stated


def test_what_was_written_before_is_read(tmp_path):
    """By a writer of YAML 1.1, with names as CIFAR-100 has them."""
    names = ("aquatic_mammals", "fruit_and_vegetables", "lawn_mower")
    stated = StatedHierarchy(name="cifar100", coarse_names=("x",), fine_names=names, coarse_of_fine=(0, 0, 0))
    assert read(tmp_path, yaml.safe_dump(stated.model_dump(mode="json"), sort_keys=False)) == stated


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (GOOD, "", r"hierarchy\.yaml: the file: "),
        (GOOD, "[]", r"hierarchy\.yaml: the file: "),
        (GOOD, "text", r"hierarchy\.yaml: the file: "),
        (GOOD, "name: [", r"cannot read .*hierarchy\.yaml: line 1"),
        (GOOD, b"name: \xff", r"cannot read .*hierarchy\.yaml: it is no UTF-8"),
        (GOOD, GOOD + "name: other", "the key 'name' is given twice"),
        ("garden", "!!int ''", r"cannot read .*hierarchy\.yaml: "),
        ("garden", "!!python/object/apply:os.system [true]", r"cannot read .*hierarchy\.yaml: line 2"),
        ("garden", "5", r"hierarchy\.yaml: name: 5 is no text to YAML; put names like this in quotes"),
        ("garden", "null", "name: None is no text"),
        ("shark", "007", "007 means one thing to some readers"),
        ("shark", "7", r"fine_names\.0: 7 is no text"),
        ("shark", "1e3", r"fine_names\.0: 1000\.0 is no text"),
        ("shark", "true", r"fine_names\.0: True is no text"),
        ("shark", "[a]", r"fine_names\.0: \['a'\] is no text"),
        ("shark", "oak", "two fine labels are both named 'oak'"),
        ("shark", "''", "fine label 0 has an empty name"),
        ("[shark, oak, trout]", "!!set {shark, oak, trout}", "could not determine a constructor"),
        ("[shark, oak, trout]", "{shark: 0}", "fine_names: must be a list"),
        ("[shark, oak, trout]", "shark", "fine_names: must be a list"),
        ("[0, 1, 0]", "[0, 1]", "names 3 fine labels but gives 2"),
        ("[0, 1, 0]", "[a, b, a]", r"coarse_of_fine\.0: "),
        ("[0, 1, 0]", "['0', '1', '0']", r"coarse_of_fine\.0: "),
        ("[0, 1, 0]", "[0, 1.0, 0]", r"coarse_of_fine\.1: "),
        ("[0, 1, 0]", "[0, true, 0]", r"coarse_of_fine\.1: "),
        ("[0, 1, 0]", "[0, -1, 0]", "'oak' belongs to coarse label -1"),
        ("[0, 1, 0]", "[0, 0, 0]", "coarse label 'tree' has no fine label"),
        ("30", "-30", r"images\.train: "),
        ("30", "many", r"images\.train: "),
        ("train: 30", "trian: 30", r"images\.trian\.\[key\]: "),
    ],
)
def test_malformed_files_are_named_with_the_place(tmp_path, old, new, message):
    text = new if isinstance(new, bytes) else GOOD.replace(old, new)
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text)
    assert FILE_NAME in str(caught.value) and "\n" not in str(caught.value)


def test_aliases_that_explode_are_refused(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 12)]
    with pytest.raises(DataError, match="aliases stand for more than"):
        read(tmp_path, "\n".join(lines))


@pytest.mark.parametrize("kind", STRANGE)
def test_pipes_devices_and_sockets_are_refused_at_once(tmp_path, kind):
    make_strange(tmp_path / FILE_NAME, kind)
    with pytest.raises(DataError, match=r"cannot read .*hierarchy\.yaml: "):
        read_hierarchy(tmp_path)
