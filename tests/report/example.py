"""A page as a real experiment gives it, but for its figures, which are drawn from random numbers."""

import base64
import io
from functools import cache

import numpy as np
from PIL import Image

from bilateral.analysis.style import COLOURS, SEQUENTIAL, panels, styled
from bilateral.report.page import Cell, Finding, Gallery, Page, PageTable, Section

ROWS = {
    "left alone": (63.08, None),
    "right alone": (None, 73.51),
    "left and right, not joined": (63.08, 73.51),
    "one hemisphere, both heads": (62.31, 74.59),
    "one wider hemisphere, same size as bilateral": (65.59, 77.53),
    "bilateral, not specialised": (65.73, 76.63),
    "bilateral, untrained hemispheres": (9.91, 34.55),
    "bilateral, specialised": (65.17, 75.61),
    "ensemble of 2 networks, mean logits": (64.95, 76.98),
    "ensemble of 2 networks, mean probabilities": (64.79, 76.82),
    "ensemble of left and right": (64.48, 77.31),
}
SUPERCLASSES = ["disc", "square", "star"]
DETAILS = ["plain", "striped", "dotted", "ringed"]
CLASSES = [f"{detail} {form}" for form in SUPERCLASSES for detail in DETAILS]
# A class and a superclass that no image has.
GALLERY_SUPERCLASSES, GALLERY_CLASSES = [*SUPERCLASSES, "cross"], [*CLASSES, "plain cross"]
IMAGES = 60
CELLS = ["1111", "1010", "0101", "0000", "1110", "0001", "1100"]


def page(**changed):
    content = {
        "title": "small on shapes, seeds 0, 1, 2, protocol clean",
        "question": "Does specialisation into two hemispheres help, and against what?",
        "answer": [
            "The specialised network is 2.9 points better on fine labels than one hemisphere under both heads "
            "(95 % interval 2.1 to 3.6).",
            "Against one hemisphere of its size it is not: -0.4 points (-2.0 to 1.1).",
        ],
        "example": ("striped star", "star"),
        "taught": {"left": "fine labels", "right": "coarse labels"},
        "facts": {"Data": "shapes, 40 fine and 8 coarse labels", "Width": "0.25", "Seeds": "3"},
        "main_table": main_table(),
        "hero": section("differences", "Differences", curves()),
        "findings": [
            Finding(
                "The hemispheres' features are complementary", "holds here", ["Both reach 2.1 points more than one."]
            ),
            Finding("It beats baselines of like capacity", "does not hold here", ["-0.4 points.", "-0.6 points."]),
            Finding("Heads listen to the hemisphere that knows", "not decided", ["The AUC is 0.58 to 0.74."]),
        ],
        "sections": [
            section("cka", "Similarity of stages", matrix(), "stage,cka\nconv1,0.8\n"),
            section("curves", "Learning curves", curves(), "x" * 200_001),
            Section("parts", "Parts", "What does it cost?", "", "these runs have no parts", "", None, "commit 0123abc"),
        ],
        "tables": [long_table()],
        "gallery": gallery(),
        "config_yaml": "name: small\ndata:\n  name: shapes\n" + "# a long line " * 30,
        "provenance": {"commit": "0123abc", "machine": "cpu (x86_64), 2 threads", "command": "bilateral report runs"},
        "notes": ["Three seeds are few: look at the intervals."],
    }
    return Page(**{**content, **changed})


def section(name, title, figure_svg, table_csv=None):
    question, sentence = f"What about {title.lower()}?", f"{title}: left falls from 0.80 to 0.05."
    return Section(name, title, question, sentence, "", figure_svg, table_csv, "commit 0123abc, cpu, 2.1 s")


def main_table():
    headings = [
        "network",
        "n",
        "fine",
        "coarse",
        "coarse by roll-up",
        "fine by restriction",
        "both right",
        "parameters",
    ]
    rows = [
        [
            *(Cell(name), Cell("3", 3.0), percent(fine), percent(coarse)),
            *(percent(fine and fine - less) for less in range(3)),
            Cell(f"{number * 100_000 + 4_564:,}", number * 100_000 + 4_564),
        ]
        for number, (name, (fine, coarse)) in enumerate(ROWS.items(), 4)
    ]
    return PageTable(
        "Accuracy on the test images, %", "Mean ± sample deviation over n seeds.", headings, rows, marked=7
    )


def percent(value):
    return Cell("–") if value is None else Cell(f"{value:.2f} ± 0.44", value)


def long_table():
    rows = [
        [Cell("left alone"), Cell("bilateral"), Cell(f"{n}", n), Cell(f"{1 / (n + 1):.2g}", 1 / (n + 1))]
        for n in range(60)
    ]
    return PageTable(
        "McNemar's test of every network against each of the others",
        "p: exact.",
        ["network", "reference", "network only", "p"],
        rows,
        words=2,
    )


@cache
def curves():
    with styled():
        figure, axes = panels(2)
        for panel in axes:
            for side, level in (("left", 0.8), ("right", 0.6)):
                mean = level * np.exp(-np.arange(7) / 3)
                panel.errorbar(range(7), mean, yerr=0.05, ecolor="black", color=COLOURS[side], marker="o", label=side)
                panel.fill_between(range(7), mean - 0.05, mean + 0.05, color=COLOURS[side], alpha=0.2)
            panel.set_title("accuracy by epoch, %")
            panel.set_xlabel("epoch")
        axes[0].legend()
        return saved(figure)


@cache
def matrix():
    with styled():
        figure, axes = panels(2)
        axes[0].grid(False)
        seen = axes[0].imshow(np.random.default_rng(0).random((7, 7)), cmap=SEQUENTIAL)
        figure.colorbar(seen, ax=axes[0], label="CKA")
        axes[1].bar(["left", "right"], [3, 4], color=[COLOURS["left"], COLOURS["right"]])
        return saved(figure)


def saved(figure):
    file = io.StringIO()
    figure.savefig(file, format="svg")
    return file.getvalue()


@cache
def gallery():
    images = [gallery_image(number) for number in range(IMAGES)]
    coarse_of_fine = [SUPERCLASSES.index(name.split()[1]) for name in CLASSES] + [len(SUPERCLASSES)]
    return Gallery(0, GALLERY_CLASSES, GALLERY_SUPERCLASSES, coarse_of_fine, images)


def gallery_image(number):
    random = np.random.default_rng(number)
    fine = CLASSES[number * 5 % len(CLASSES)]
    coarse, cell = fine.split()[1], CELLS[number % len(CELLS)]

    def said(right, names, truth):
        wrong = [name for name in names if name != truth][:3]
        ranked = [truth, *wrong[:2]] if right == "1" else wrong
        return [[name, p] for name, p in zip(ranked, (0.61, 0.2, 0.04))]

    judges = zip(("left", "right", "fine", "coarse"), cell, (CLASSES, SUPERCLASSES) * 2, (fine, coarse) * 2)
    maps = {head: {side: activation(random) for side in ("left", "right")} for head in ("fine", "coarse")}
    return {
        "image": 100 + number,
        "fine": fine,
        "coarse": coarse,
        "cell": cell,
        "picture": webp(random.integers(0, 255, (32, 32, 3), np.uint8)),
        "predictions": {judge: said(right, names, truth) for judge, right, names, truth in judges},
        "shares": {"fine": round(float(random.random()), 3), "coarse": round(float(random.random()), 3)},
        "maps": {**maps, "merged": {"both": activation(random, 8)}},
    }


def activation(random, size=4):
    values = random.integers(0, 256, (size, size), np.uint8)
    return {"height": size, "width": size, "values": base64.b64encode(values.tobytes()).decode()}


def webp(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP")
    return base64.b64encode(file.getvalue()).decode()
