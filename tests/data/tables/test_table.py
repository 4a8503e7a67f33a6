"""Tables of images and labels, as a person writes them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bilateral.base.errors import BilateralError, ConfigError, DataError
from bilateral.data.config import DataConfig
from bilateral.data.images import HierarchicalDataset
from bilateral.data.sources import load
from data.image_trees import write_image

FAMILIES = {"cat": "animal", "dog": "animal", "oak": "plant"}
ROWS = [(f"images/{n}.png", fine, FAMILIES[fine]) for n, fine in enumerate([*FAMILIES] * 5)]


def write(folder: Path, lines: list[str], name: str = "labels.csv") -> Path:
    for number, (path, _, _) in enumerate(ROWS):
        write_image(folder / path, number)
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def csv(rows: list[tuple[str, ...]], header: str = "image,fine,coarse", separator: str = ",") -> list[str]:
    return [header.replace(",", separator), *(separator.join(row) for row in rows)]


def open_table(path: Path, **settings) -> HierarchicalDataset:
    return load(DataConfig(name="table", root=path, **settings))


def in_two(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """With a column of splits: the last two images of each class test, the two before validate."""
    return [(*row, "Train" if n < 3 else "val" if n < 9 else "TEST") for n, row in enumerate(rows)]


def test_a_table_of_splits(tmp_path):
    dataset = open_table(write(tmp_path, csv(in_two(ROWS), "image,fine,coarse,split")))
    assert dataset.hierarchy.fine_names == ("cat", "dog", "oak")
    assert dataset.hierarchy.coarse_names == ("animal", "plant")
    assert dataset.hierarchy.coarse_of_fine == (0, 0, 1)
    assert [len(images) for images in dataset.splits().values()] == [3, 6, 6]
    assert dataset.test.fine.tolist() == [0, 1, 2] * 2
    ninth = np.random.default_rng(9).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(dataset.test.images[0].permute(1, 2, 0).numpy(), ninth)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_other_columns_separators_and_tables_for_other_splits(tmp_path, separator):
    expected = open_table(write(tmp_path, csv(in_two(ROWS), "image,fine,coarse,split"))).fingerprint
    header = "\ufefffile,breed,kind"
    for name, rows in (("train.csv", ROWS[:3]), ("val.csv", ROWS[3:9]), ("test.csv", ROWS[9:])):
        write(tmp_path, csv([(*row[:2], f" {row[2]} ") for row in rows], header, separator), name)
    options = {"image": "file", "fine": "breed", "coarse": "kind"}
    options |= {"validation": str(tmp_path / "val.csv"), "test": str(tmp_path / "test.csv")}
    assert open_table(tmp_path / "train.csv", options=options).fingerprint == expected


def test_a_table_alone_gives_a_fifth_for_testing(tmp_path):
    with pytest.warns(UserWarning, match=r"labels\.csv: 20% of every class are held out"):
        dataset = open_table(write(tmp_path, csv(ROWS)))
    assert (len(dataset.train), len(dataset.test)) == (12, 3)


def test_whole_numbers_are_labels_in_their_order(tmp_path):
    numbers = {"cat": "10", "dog": "9", "oak": "007"}
    rows = [(path, numbers[fine], "12" if coarse == "plant" else "3") for path, fine, coarse in ROWS]
    with pytest.warns(UserWarning, match="held out"):
        hierarchy = open_table(write(tmp_path, csv(rows))).hierarchy
    assert hierarchy.fine_names == ("9", "10", "007") and hierarchy.coarse_names == ("3", "12")


@pytest.mark.parametrize("file", ["hierarchy.yaml", "families.yaml"])
def test_a_hierarchy_in_place_of_a_column(tmp_path, file):
    path = write(tmp_path, csv([row[:2] for row in in_two(ROWS)], "image,fine"))
    options = {"hierarchy": str(tmp_path / file)} if file == "families.yaml" else {}
    with pytest.raises(DataError, match=r"no column 'coarse'.*`animal: \[cat" if not options else "cannot read"):
        open_table(path, options=options)
    (tmp_path / file).write_text("plant: [oak]\nanimal: [cat, dog]\n")
    with pytest.warns(UserWarning, match="held out"):
        assert open_table(path, options=options).hierarchy.fine_names == ("oak", "cat", "dog")
    (tmp_path / file).write_text("plant: [oak]\nanimal: [cat]\n")
    with pytest.raises(DataError, match=r"labels\.csv: fine label 'dog': no label of the hierarchy has this name"):
        open_table(path, options=options)


def test_a_fine_label_with_two_coarse_ones_is_told(tmp_path):
    rows = [(path, "cat" if fine == "oak" else fine, coarse) for path, fine, coarse in ROWS]
    path = write(tmp_path, csv(rows))
    with (
        pytest.warns(match="held out"),
        pytest.warns(match=r"'cat' has the coarse labels 'animal' \(5 rows\), 'plant' \(5 rows\), which"),
    ):
        assert open_table(path).hierarchy.fine_names == ("animal/cat", "dog", "plant/cat")


def test_a_misspelt_coarse_label_is_told_beside_the_usual_one(tmp_path):
    rows = [
        (path, fine, "animl" if path in ("images/0.png", "images/3.png") else coarse) for path, fine, coarse in ROWS
    ]
    with (
        pytest.warns(match="held out"),
        pytest.warns(match=r"'cat' has the coarse labels 'animal' \(3 rows\), 'animl' \(2 rows\), which"),
    ):
        open_table(write(tmp_path, csv(rows)))
    with pytest.raises(DataError, match=r"'cat' with coarse label 'animl'; they have it with 'animal' \(1 row\)"):
        open_table(write(tmp_path, changed(3, 2, "animl")))


def test_swapped_columns_are_refused(tmp_path):
    path = write(tmp_path, csv(ROWS))
    with pytest.raises(DataError, match=r"fine label 'animal' has 2 coarse labels, .* seem to be swapped"):
        open_table(path, options={"fine": "coarse", "coarse": "fine"})


def test_images_of_another_folder(tmp_path):
    write(tmp_path, [])
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "labels.csv").write_text("\n".join(csv(ROWS)))
    path = tmp_path / "tables" / "labels.csv"
    with pytest.raises(DataError, match=r"15 of 15 images are not there, .*0\.png of row 2; .*data\.options\.folder"):
        open_table(path)
    with pytest.warns(UserWarning, match="held out"):
        open_table(path, options={"folder": str(tmp_path)})


def test_absolute_paths_may_lead_into_the_folder_of_the_table(tmp_path, monkeypatch):
    write(tmp_path, csv([(str(tmp_path / path), *labels) for path, *labels in ROWS]))
    monkeypatch.chdir(tmp_path.parent)
    with pytest.warns(UserWarning, match="held out"):
        assert len(open_table(Path(tmp_path.name) / "labels.csv").train) == 12


def changed(row: int, place: int, value: str) -> list[str]:
    rows = [list(each) for each in in_two(ROWS)]
    rows[row][place] = value
    return csv([tuple(each) for each in rows], "image,fine,coarse,split")


@pytest.mark.parametrize(
    ("lines", "options", "error", "message"),
    [
        ([], {}, DataError, "cannot read the table .*No columns"),
        (["image,fine,coarse"], {}, DataError, "the table has no row"),
        (
            csv(ROWS),
            {"fine": "breed"},
            DataError,
            r"no column 'breed'; name another by data\.options\.fine=COLUMN; .*image, fine",
        ),
        (csv(ROWS), {"split": "part"}, DataError, r"no column 'part', which data\.options\.split names"),
        (csv(ROWS), {"colour": "x"}, ConfigError, r"data\.options\.colour: unknown setting"),
        (csv(ROWS), {"test": "nowhere.csv"}, DataError, r"cannot read the table nowhere\.csv: No such file"),
        (changed(4, 1, ""), {}, DataError, r"column 'fine', row 6: there is no label"),
        (changed(4, 3, "later"), {}, DataError, r"row 6: the split 'later' must be train, validation or test"),
        (changed(4, 0, ""), {}, DataError, r"row 6: it has no image"),
        (changed(4, 0, "../secret.png"), {}, DataError, r"row 6: \.\./secret\.png leads out of"),
        (changed(4, 0, "/etc/passwd"), {}, DataError, r"row 6: /etc/passwd leads out of"),
        (changed(4, 0, "labels.csv"), {}, DataError, r"cannot read image .*labels\.csv: its content is none of PNG"),
        (changed(4, 1, "lynx"), {}, DataError, r"no fine label 'lynx' with coarse label 'animal'"),
        (changed(0, 1, "lynx"), {}, DataError, r"no fine label 'cat' with coarse label 'animal'"),
    ],
)
def test_what_is_wrong_is_named_with_its_row(tmp_path, lines, options, error, message):
    with pytest.raises(error, match=message) as caught:
        open_table(write(tmp_path, lines), options=options)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_nearly_right_and_a_folder_get_a_hint(tmp_path):
    path = write(tmp_path, csv(ROWS))
    with pytest.raises(DataError, match=rf"labels\.cvs: No such file or directory; did you mean {path}\?"):
        open_table(tmp_path / "labels.cvs")
    with pytest.raises(DataError, match=r"it is a folder; give a table's file, or data\.name=folders"):
        open_table(tmp_path)


def test_a_table_that_is_no_text(tmp_path):
    path = write(tmp_path, csv(ROWS))
    path.write_bytes(b"image,fine,coarse\n\xff\xfe,a,b\n")
    with pytest.raises(DataError, match=r"cannot read the table .*: it is no UTF-8 text .*; save it as UTF-8"):
        open_table(path)
    with pytest.raises(ConfigError, match=r"data\.root must name the table"):
        load(DataConfig(name="table"))


def test_parquet_needs_its_library(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r'pyarrow is not installed, .*: pip install "bilateral\[table\]"'):
        open_table(tmp_path / "labels.parquet")


def test_parquet_with_bytes_paths_and_structs(tmp_path):
    pytest.importorskip("pyarrow", reason="it comes with bilateral[table]")
    import pandas as pd

    expected = open_table(write(tmp_path, csv(in_two(ROWS), "image,fine,coarse,split"))).fingerprint
    frame = pd.DataFrame(in_two(ROWS), columns=["image", "fine", "coarse", "split"])
    paths, contents = list(frame["image"]), [(tmp_path / path).read_bytes() for path in frame["image"]]
    structs = [{"bytes": each, "path": None} for each in contents]
    for images in (paths, contents, structs, [{"bytes": None, "path": path} for path in paths]):
        frame.assign(image=images).to_parquet(tmp_path / "labels.parquet")
        assert open_table(tmp_path / "labels.parquet").fingerprint == expected
    numbers = frame.assign(image=contents, fine=[list(FAMILIES).index(fine) for fine in frame["fine"]])
    numbers.astype({"coarse": "category"}).to_parquet(tmp_path / "labels.parquet")
    assert open_table(tmp_path / "labels.parquet").hierarchy.fine_names == ("0", "1", "2")
    small = io.BytesIO()
    Image.new("RGB", (5, 4)).save(small, "PNG")
    for wrong, message in (
        ({"image": [b"no image", *contents[1:]]}, r"labels\.parquet, row 1: its content is none of"),
        ({"image": [*contents[:3], small.getvalue(), *contents[4:]]}, "row 1 has 8x8 pixels, .*row 4 has 5x4;"),
        ({"image": range(15)}, "row 1: it has no image"),
        ({"image": contents, "fine": [None, *frame["fine"][1:]]}, "column 'fine', row 1: there is no label"),
        ({"image": contents, "fine": np.linspace(0, 1, 15)}, r"row 1: 0\.0 is neither text nor a whole number"),
    ):
        frame.assign(**wrong).to_parquet(tmp_path / "labels.parquet")
        with pytest.raises(DataError, match=message):
            open_table(tmp_path / "labels.parquet")
    (tmp_path / "labels.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(BilateralError, match="cannot read the table"):
        open_table(tmp_path / "labels.parquet")
