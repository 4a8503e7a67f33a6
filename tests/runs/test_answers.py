import io
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from bilateral.base.errors import CheckpointError, ConfigError, DataError
from bilateral.data.augment import Normalisation
from bilateral.data.hierarchy import LabelHierarchy
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.runs.answers import decode_pixels, images_in, label_names, named, predictions, read_pixels
from bilateral.training.checkpoint import Description

HIERARCHY = LabelHierarchy(("oak", "elm", "cod"), ("tree", "fish"), (0, 0, 1))


def description(hierarchy=HIERARCHY, size=(8, 8), **model):
    narrow = {"left": {"width": 0.0625}, "right": {"width": 0.0625}}
    config = ModelConfig.model_validate({**narrow, **model})
    return Description(config, 3, 2, hierarchy, Normalisation((0.5,) * 3, (0.2,) * 3), size)


def png(width, height, colour="red"):
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


def test_labels_come_best_first_with_name_number_and_probability():
    logits = {
        "fine": torch.tensor([[0.0, 2.0, 1.0], [5.0, 0.0, 0.0]]),
        "coarse": torch.tensor([[0.0, 1.0], [1.0, 0.0]]),
    }
    first, second = named(logits, description(), 2)
    assert [entry["label"] for entry in first["fine"]] == ["elm", "cod"]
    assert [entry["id"] for entry in first["fine"]] == [1, 2]
    assert first["fine"][0]["probability"] == round(logits["fine"][0].softmax(0)[1].item(), 6)
    assert second["coarse"][0]["label"] == "tree" and len(second["coarse"]) == 2


def test_more_labels_than_there_are_gives_all_of_them():
    [answer] = named({"coarse": torch.zeros(1, 2)}, description(), 9)
    assert len(answer["coarse"]) == 2 and list(answer) == ["coarse"]


def test_labels_without_names_have_numbers():
    assert label_names(description(None), "fine") == ["0", "1", "2"]
    assert label_names(description(None), "coarse") == ["0", "1"]


def test_bytes_and_files_give_the_same_pixels(tmp_path):
    (tmp_path / "a.png").write_bytes(png(20, 10))
    pixels = read_pixels(tmp_path / "a.png", description())
    assert pixels.shape == (3, 8, 8) and pixels.dtype == torch.uint8
    assert torch.equal(pixels, decode_pixels(png(20, 10), "it", description()))


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no image .*a\.png"):
        read_pixels(tmp_path / "a.png", description())
    with pytest.raises(DataError, match=r"cannot read image mine\.png: its content is none of PNG"):
        decode_pixels(b"text", "mine.png", description())
    with pytest.raises(CheckpointError, match="trained on 8x9 images"):
        decode_pixels(png(8, 8), "it", description(size=(8, 9)))


@pytest.mark.parametrize("mode_out", ["pred", "feature"])
def test_a_network_answers_each_picture_or_has_nothing_to_say(mode_out):
    about = description(mode_out=mode_out)
    network = build_network(about.model, 3, 2).eval()
    pixels = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    answers = predictions(network, pixels, about, 1)
    assert [list(answer) for answer in answers] == [["fine", "coarse"] if mode_out == "pred" else []] * 2


def images(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(8, 8))


def named_from(folder, places):
    return [os.fsencode(file.relative_to(folder)) for file in images_in(places)]


def test_folders_give_their_images_by_name_and_files_stand_where_they_are_given(tmp_path):
    images(tmp_path, "x/b/2.png", "x/b/1.JPG", "x/a.png", "x/c.png", "x/.hidden.png", "y.png")
    assert named_from(tmp_path, [tmp_path / "y.png", tmp_path / "x", tmp_path / "y.png"]) == [
        *(b"y.png", b"x/a.png", b"x/b/1.JPG", b"x/b/2.png", b"x/c.png", b"y.png")
    ]


def test_file_names_that_are_no_text(tmp_path):
    images(tmp_path, os.fsdecode(b"x/\xff.png"))
    assert named_from(tmp_path, [tmp_path / "x"]) == [b"x/\xff.png"]
    assert read_pixels(tmp_path / "x" / os.fsdecode(b"\xff.png"), description()).shape == (3, 8, 8)


def test_links_that_form_loops_end(tmp_path):
    images(tmp_path, "x/a.png", "x/y/b.png")
    (tmp_path / "x" / "y" / "again").symlink_to(tmp_path / "x")
    (tmp_path / "x" / "y" / "itself").symlink_to(tmp_path / "x" / "y" / "itself")
    with pytest.warns(UserWarning, match="not read: 1 file"):
        assert named_from(tmp_path, [tmp_path / "x"]) == [b"x/a.png", b"x/y/b.png"]


def test_files_that_are_no_images_are_counted(tmp_path):
    images(tmp_path, "x/a.png", "x/b.txt", "x/y/c.tga")
    with pytest.warns(UserWarning, match=r"not read: 2 files .* for example .*b\.txt"):
        assert named_from(tmp_path, [tmp_path / "x"]) == [b"x/a.png"]


def test_places_without_images(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: there is no image in this folder"):
        images_in([tmp_path / "empty"])
    for name in ("absent", "a" * 5000):
        with pytest.raises(ConfigError, match="there is no image"):
            images_in([tmp_path / name])


def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    for place in (tmp_path / "a.png", Path("/dev/zero")):
        [file] = images_in([place])
        with pytest.raises(DataError, match="it is a pipe, a device or a socket"):
            read_pixels(file, description())


def test_where_the_join_weighs_the_sides_the_weights_are_there():
    made = description(join={"kind": "gate", "right": 0.25})
    network = build_network(made.model, 3, 2, seed=1).eval()
    torch.nn.init.normal_(network.join.layer.weight)
    pixels = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    expected = network(made.normalise(pixels)).weights
    for number, answer in enumerate(predictions(network, pixels, made, 1)):
        assert answer["weights"] == {side: pytest.approx(expected[side][number].item(), abs=1e-6) for side in expected}
        assert list(answer) == ["fine", "coarse", "weights"]
    plain = predictions(build_network(description().model, 3, 2, seed=1).eval(), pixels, description(), 1)
    assert [list(answer) for answer in plain] == [["fine", "coarse"]] * 2
