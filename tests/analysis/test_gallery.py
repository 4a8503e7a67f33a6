import base64
import io
import json
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from bilateral.analysis import gallery
from bilateral.analysis.gallery import select
from bilateral.analysis.gradcam import class_activation_maps, merge, resized, scaled, unpacked
from bilateral.analysis.heads import contributions

from . import handmade


def test_a_few_images_are_all_shown():
    assert select(["1111"] * 5, [0, 0, 1, 1, 2]) == [0, 1, 2, 3, 4]


def many(count=5000, classes=100, seed=0):
    generator = np.random.default_rng(seed)
    common = generator.random(count) < 0.9
    cells = [f"{15 if often else generator.integers(16):04b}" for often in common]
    return cells, generator.integers(0, classes, count).tolist()


@pytest.mark.parametrize("classes", [3, 100, 400])
def test_each_cell_and_class_is_shown_and_never_more_than_most(classes):
    cells, labels = many(classes=classes)
    chosen = select(cells, labels)
    assert len(chosen) <= gallery.MOST and chosen == sorted(set(chosen))
    shown_cells, shown_classes = Counter(cells[i] for i in chosen), Counter(labels[i] for i in chosen)
    assert set(shown_cells) == set(cells) and set(shown_classes) == set(labels)
    if len(chosen) < gallery.MOST:
        assert all(count >= min(gallery.PER_CELL, Counter(cells)[cell]) for cell, count in shown_cells.items())
        assert all(count >= min(gallery.PER_CLASS, Counter(labels)[label]) for label, count in shown_classes.items())
    assert len(chosen) == {3: len(chosen), 100: len(chosen), 400: gallery.MOST}[classes]


def test_the_first_of_each_are_taken_and_no_more_than_wanted(monkeypatch):
    monkeypatch.setattr(gallery, "PER_CELL", 2)
    monkeypatch.setattr(gallery, "PER_CLASS", 1)
    cells, labels = ["a", "a", "a", "b", "a", "b"], [0, 0, 0, 0, 1, 0]
    assert select(cells, labels) == [0, 1, 3, 4, 5]
    monkeypatch.setattr(gallery, "MOST", 3)
    assert select(cells, labels) == [0, 3, 4]


@pytest.fixture(scope="module")
def computed():
    images = handmade.make_images(4, 1, 32)
    said = {
        seed: {
            "left": handmade.random_predictions(images.fine, seed, ("fine",)),
            "right": handmade.random_predictions(images.fine, seed + 10, ("coarse",)),
            "bilateral": handmade.random_predictions(images.fine, seed + 20),
        }
        for seed in (0, 1)
    }
    networks = {seed: handmade.network({"arch": "resnet9"}, {"arch": "resnet18"}, seed) for seed in (0, 1)}
    study = handmade.study(said, networks, images=images)
    return study, gallery.compute(study)


def test_lines_show_the_first_seeds_networks(computed):
    study, table = computed
    system = study.systems[0]
    assert table["seed"].unique().tolist() == [0] and table["image"].tolist() == list(range(24))
    roles = {"left": (system.left, "fine"), "right": (system.right, "coarse")}
    roles |= {level: (system.bilateral, level) for level in ("fine", "coarse")}
    features = study.evaluation(system).features
    shares = {level: contributions(system.network, level, features).share for level in ("fine", "coarse")}
    for line in table.to_dict("records"):
        image = line["image"]
        assert (
            line["fine"] == "abcdef"[study.images.fine[image]] and line["coarse"] == "xyz"[study.images.coarse[image]]
        )
        decoded = Image.open(io.BytesIO(base64.b64decode(line["picture"])))
        original = Image.fromarray(study.images.images[image].permute(1, 2, 0).numpy())
        # Compressed, but for the eye the same picture.
        greys = [np.asarray(each.convert("L")).ravel() for each in (decoded, original)]
        assert decoded.size == original.size and np.corrcoef(greys)[0, 1] > 0.9
        said, cell = json.loads(line["predictions"]), ""
        for judge, (run, level) in roles.items():
            logits = run.predictions.logits[level][image]
            expected = sorted(zip(logits.softmax(0).tolist(), "abcdef" if level == "fine" else "xyz"), reverse=True)[:3]
            assert [name for name, _ in said[judge]] == [name for _, name in expected]
            assert [p for _, p in said[judge]] == pytest.approx([p for p, _ in expected], abs=6e-4)
            cell += str(int(logits.argmax() == run.predictions.labels[level][image]))
        assert line["cell"] == cell
        given = json.loads(line["shares"])
        assert given == {level: pytest.approx(values[image].item(), abs=6e-4) for level, values in shares.items()}


def test_maps_are_those_of_the_last_stages_and_the_originals_one(computed):
    study, table = computed
    system, stages = study.systems[0], {"left": ["res1", "res2"], "right": ["group4"]}
    maps, _ = class_activation_maps(system.network, system.normalise(study.images.images), stages)
    whole = resized(merge(maps, (32, 32)), (16, 16))
    for line in table.to_dict("records"):
        found = json.loads(line["maps"])
        assert {level: set(own) for level, own in found.items()} == {
            "merged": {"both"},
            "fine": {"left", "right"},
            "coarse": {"left", "right"},
        }
        for level in ("fine", "coarse"):
            for side, stage in (("left", "res2"), ("right", "group4")):
                expected = scaled(maps[level, side, stage])[line["image"]]
                assert (unpacked(found[level][side]) - expected).abs().max() < 0.02
        assert (unpacked(found["merged"]["both"]) - whole[line["image"]]).abs().max() < 0.02


def test_the_figure_and_the_sentence(computed):
    _, table = computed
    assert gallery.tell(table).endswith("There are 24 images, with the networks of seed 0.")
    figure = gallery.draw(table)
    assert len(figure.axes) == 16
    shown = {axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()}
    assert shown <= set("abcdef") and len([axes for axes in figure.axes if axes.images]) == table["cell"].nunique()


def test_large_pictures_are_made_smaller():
    image = torch.full((3, 600, 300), 7, dtype=torch.uint8)
    assert gallery._shrunk(image).shape == (3, 256, 128) and (gallery._shrunk(image) == 7).all()
    assert gallery._shrunk(image[:, :200, :200]).shape == (3, 200, 200)
