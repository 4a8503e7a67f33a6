"""What a report says of a study: from its rows and the results of its analyses to a page."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import yaml

from ..analysis.differences import SINGLE, against_one
from ..analysis.robustness import by_condition
from ..analysis.running import AnalysisResult, read_table
from ..analysis.study import Study
from ..base.files import read_text
from ..base.own_code import describe
from ..base.statistics import summarise
from ..experiments.measures import MEASURES, measure
from ..experiments.published import find
from ..experiments.tables import (
    ACCURACY_NOTE,
    CONTRAST_HEADINGS,
    CONTRASTS_NOTE,
    FURTHER_NOTE,
    GAINS_NOTE,
    QUALITY_NOTE,
    interval_text,
    summary_text,
)
from ..models.config import SIDES
from ..runs.predictions import LEVELS
from .claims import AT_CHANCE, findings
from .page import Cell, Gallery, Page, PageTable, Section

Made = TypeVar("Made")
HEROES = {
    "contrasts": (
        "Accuracy minus that of each other network, with 95 % intervals (thick: over seeds; thin: over seeds and "
        "images). Right of the line it is better. Hollow: the difference may be chance."
    ),
    "differences": (
        "Accuracy of the bilateral network minus that of each other one, with 95 % intervals over seeds. Right of the "
        "line it is better. Hollow: the difference may be chance."
    ),
}
"""The analyses that answer the question, the best first, and what is said of their figures."""
MAIN = ("fine_pct", "coarse_pct", "joint_fine_pct", "joint_coarse_pct")
"""The measures of the first table; the second one has all others."""
_SHARE_NOTE = "Share of what sets the classes' scores apart, mean over the test images of a class and all seeds."
_OF_THIS_MACHINE: dict[str, Any] = {
    "save_dir": True,
    "data": {"root", "train_dir", "val_dir", "test_dir", "raw_data_dir"},
    "model": {"checkpoint": True, "left": {"checkpoint"}, "right": {"checkpoint"}},
}
"""Settings that say where things lie, which a page that is handed on does not tell."""
_COST_COLUMNS = {
    "title": "network",
    "parameters": "parameters",
    "trainable_parameters": "trainable",
    "multiply_adds": "multiply-adds of an image",
    "training_pflops": "PFLOPs of training",
    "training_s": "seconds of training",
}
_ROW_COST_NOTE = "Of all its networks together; training with all that it builds on."
_PARTS, _PART_WORDS = "Size and cost of each part of the bilateral network", ("where", "part", "output")
_NO_HERO = Section("contrasts", "The answer", "", "", "no analysis that answers it was done", "", None, "")


def contents(study: Study, results: Sequence[AnalysisResult], folder: Path, with_images: bool = True) -> Page:
    """Compose the page of a study from what its analyses left in `folder`.

    with_images: show test images. Without them the page has none, for data that may not be handed on.
    """
    measures, titles = _measures(study), _titles(study)
    results = [result for result in results if with_images or result.name != "gallery"]
    sections = [_section(result, folder) for result in results]
    told = {section.name: section for section in sections if section.sentence}
    hero = next((told[name] for name in HEROES if name in told), _NO_HERO)
    at_chance = [result.name for result in results if result.at_chance]
    first = {hero.sentence: hero.name}
    tables = {result.name: read_table(folder, result) for result in results if not result.reason}
    notes = _notes(study, with_images)

    def made(name: str, make: Callable[[pd.DataFrame], Made]) -> list[Made]:
        """What comes of an analysis' table, if there is one of which it can be made."""
        try:
            return [make(tables[name])] if name in tables else []
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            notes.append(f"The table of {name} cannot be used, and what is shown of it is missing ({describe(error)}).")
            return []

    gallery = made("gallery", lambda table: _gallery(study, table))
    declared = made("contrasts", lambda table: set(table["other"]))
    clauses = (
        made("differences", against_one)
        if hero.name == "contrasts" and hero.name not in at_chance and declared and not {*SINGLE} & declared[0]
        else []
    )
    return Page(
        title=f"{study.name}: what two hemispheres learnt",
        question=_question(study),
        answer=[_headline(hero, "".join(clauses)), *(study.table or {}).get("doubts", [])],
        example=(study.hierarchy.fine_names[0], study.hierarchy.coarse_names[study.hierarchy.coarse_of_fine[0]]),
        taught=_taught(study),
        facts=_facts(study),
        main_table=replace(
            _measure_table(study, measures, "Accuracy on the test images, %", MAIN, ACCURACY_NOTE),
            about={titles[name]: row.about for name in measures if (row := find(name))},
        ),
        hero=replace(hero, sentence=HEROES[hero.name]),
        findings=findings(tables, at_chance),
        # What stands in the opening or in the explorer does not stand here again.
        sections=[
            replace(each, sentence=AT_CHANCE)
            if each.name in at_chance and first.setdefault(each.sentence, each.name) != each.name
            else each
            for each in sections
            if each is not hero and not (gallery and each.name == "gallery")
        ],
        tables=[
            *_recorded_tables(study),
            _measure_table(
                study,
                measures,
                "All other measures: agreement of both heads, mistakes, calibration",
                [name for name in MEASURES if name not in MAIN],
                f"{FURTHER_NOTE} {QUALITY_NOTE}",
            ),
            *made("robustness", lambda table: _robustness_table(table, titles[study.subject])),
            *made("head_shares", lambda table: _share_table(study, table)),
            *made("cost", lambda table: _rows_cost_table(table, titles[study.subject])),
            *made("parts", lambda table: _cost_table(table, _PARTS, "Output: its shape for one image.", _PART_WORDS)),
        ],
        gallery=gallery[0] if gallery else None,
        config_yaml=yaml.safe_dump(
            study.config.model_dump(mode="json", exclude_none=True, exclude=_OF_THIS_MACHINE), sort_keys=False
        ),
        provenance=_provenance(study, results, with_images),
        notes=notes,
    )


def _taught(study: Study) -> dict[str, str]:
    """By side, the labels that it learnt: before it was joined, else with the heads."""
    system = study.systems[0]
    runs = {side: system.alone.get(side, system.bilateral) for side in SIDES}
    levels = {side: [level for level in LEVELS if level in run.predictions.logits] for side, run in runs.items()}
    return {side: f"{' and '.join(names)} labels" for side, names in levels.items()}


def _question(study: Study) -> str:
    if _taught(study) == {"left": "fine labels", "right": "coarse labels"}:
        return "Are two specialised hemispheres better than other networks?"
    return f"Is “{study.rows[study.subject].title}” better than other networks?"


def _headline(hero: Section, clause: str) -> str:
    """The answer; clause: the one against one hemisphere, which stands before what a config declares."""
    sentence = hero.sentence or f"No answer, for {hero.skipped}."
    if not clause or sentence.startswith("No verdict"):
        return sentence
    return f"{clause[0].upper()}{clause[1:]}; {sentence[0].lower()}{sentence[1:]}"


def _measures(study: Study) -> dict[str, list[Mapping[str, float]]]:
    """The measures of every row and seed: as the experiment's table has them, else from the stored predictions."""
    table = study.table or {}
    if table.get("contrasts"):
        return {row["name"]: list(row["by_seed"].values()) for row in table["rows"]}
    measures: dict[str, list[Mapping[str, float]]] = {}
    for name in study.rows:
        said = study.predictions(name)
        measures[name] = [measure(each, study.hierarchy, study.exponent(name, seed)) for seed, each in said.items()]
    return measures


def _titles(study: Study) -> dict[str, str]:
    recorded = {row["name"]: row["title"] for row in (study.table or {"rows": []})["rows"]}
    return recorded | {name: row.title for name, row in study.rows.items()}


def _measure_table(
    study: Study, measures: Mapping[str, Sequence[Mapping[str, float]]], title: str, names: Sequence[str], note: str
) -> PageTable:
    rows = []
    for name, own in measures.items():
        cells = [Cell(_titles(study)[name]), Cell(str(len(own)), len(own))]
        for column in names:
            values = [each[column] for each in own if column in each]
            summary = summarise(values) if values else None
            cells.append(Cell(summary_text(column, summary), summary and summary["mean"]))
        rows.append(cells)
    headings = ["network", "n", *(MEASURES[name] for name in names)]
    return PageTable(title, note, headings, rows, marked=_place(measures, study.subject))


def _place(names: Iterable[str], name: str) -> int | None:
    """The line of a name; None if it has none."""
    return next((place for place, each in enumerate(names) if each == name), None)


def _recorded_tables(study: Study) -> list[PageTable]:
    """The experiment's contrasts, and what twice the epochs bring, if it has any."""
    table, titles = study.table or {}, _titles(study)
    tables = []
    if table.get("contrasts"):
        rows = []
        for each in table["contrasts"]:
            found = each["difference"]
            words = [titles.get(each["other"], each["other"]), MEASURES[each["measure"]]]
            numbers = [_number(found["n"], "d"), _number(found["mean"], "+.2f")]
            ends = [interval_text(found[key]) for key in ("ci95_seeds", "ci95")]
            tested = [_number(each[key], ".2g") for key in ("p_holm", "p_equivalent_holm")]
            rows.append([*map(Cell, words), *numbers, *map(Cell, ends), *tested, Cell(each["verdict"])])
        title = f"{titles.get(table['contrasts'][0]['row'], 'The row')}, minus each other network, points"
        tables.append(PageTable(title, CONTRASTS_NOTE, CONTRAST_HEADINGS, rows, words=2))
    if table.get("gains"):
        rows = []
        for each in table["gains"]:
            once, twice = each["once_pct"], each["twice_pct"]
            for level in once:
                values = [once[level], twice[level], twice[level] - once[level]]
                rows.append([Cell(each["title"]), Cell(level), *(_number(value, ".2f") for value in values)])
        headings = ["network", "level", "as trained, %", "twice the epochs, %", "gain, points"]
        tables.append(PageTable("What twice the epochs bring, on held-out images", GAINS_NOTE, headings, rows, words=2))
    return tables


def _share_table(study: Study, table: pd.DataFrame) -> PageTable:
    """Left's share by class."""
    names = {"fine": study.hierarchy.fine_names, "coarse": study.hierarchy.coarse_names}
    rows = []
    for (level, label), own in sorted(table.groupby(["level", "label"]), key=lambda each: LEVELS.index(each[0][0])):
        means = [own["share"].mean(), *(own.loc[own["right"] == right, "share"].mean() for right in (1, 0))]
        cells = [_number(100 * mean, ".1f") for mean in means]
        rows.append([Cell(str(level)), Cell(names[str(level)][int(label)]), *cells])
    headings = ["head", "class", "left's share, %", "where the head is right", "where it is wrong"]
    return PageTable("Left's share in each head, by class", _SHARE_NOTE, headings, rows, words=2)


def _robustness_table(table: pd.DataFrame, subject: str) -> PageTable:
    """Accuracy of each row under each condition, of the finest level that a row predicts."""
    level = next(level for level in LEVELS if level in set(table["level"]))
    found = by_condition(table, level)
    conditions = list(next(iter(found.values())))
    rows = [
        [Cell(title), *(Cell(summary_text("accuracy_pct", own[each]), own[each]["mean"]) for each in conditions)]
        for title, own in found.items()
    ]
    note = f"Mean ± deviation over seeds, on {table['images'].iloc[0]:,} test images."
    title, marked = f"Robustness, {level} accuracy, %", _place(found, subject)
    return PageTable(title, note, ["network", *conditions], rows, marked=marked)


def _rows_cost_table(table: pd.DataFrame, subject: str) -> PageTable:
    found = _cost_table(table, "Size and cost of each network", _ROW_COST_NOTE, ["title"])
    return replace(found, marked=_place(table["title"], subject))


def _cost_table(table: pd.DataFrame, title: str, note: str, words: Sequence[str]) -> PageTable:
    """What each row costs, or each part of the bilateral network."""
    known = [column for column in _COST_COLUMNS if column in table and table[column].notna().any()]
    columns = [*words, *(column for column in known if column not in words)]
    rows = [[Cell(str(line[c])) if c in words else _amount(line[c]) for c in columns] for _, line in table.iterrows()]
    return PageTable(title, note, [_COST_COLUMNS.get(column, column) for column in columns], rows, words=len(words))


def _amount(value: float) -> Cell:
    return _number(value, ",.0f" if value >= 100 or value % 1 == 0 else ".3g")


def _number(value: float | None, form: str) -> Cell:
    """A number, or a dash for none."""
    return Cell("–") if pd.isna(value) else Cell(format(value, form), value)


def _section(result: AnalysisResult, folder: Path) -> Section:
    machine = result.machine
    provenance = (
        f"Computed {result.finished} in {result.seconds:.1f} s on {machine.get('device')}, {machine.get('threads')} "
        f"threads, torch {machine.get('torch')}; code {result.commit or 'outside a checkout'}."
    )
    told = (result.name, result.title, result.question, result.sentence, result.reason)
    if result.reason:
        return Section(*told, "", None, provenance)
    figure, table = (read_text(folder / f"{result.name}.{form}") for form in ("svg", "csv"))
    return Section(*told, figure, table, provenance)


def _gallery(study: Study, table: pd.DataFrame) -> Gallery:
    images: list[dict[str, Any]] = []
    for line in table.to_dict("records"):
        line |= {key: json.loads(line[key]) for key in ("predictions", "shares", "maps")}
        images.append({str(key): value for key, value in line.items() if key != "seed"})
    hierarchy = study.hierarchy
    labels = (hierarchy.fine_names, hierarchy.coarse_names, hierarchy.coarse_of_fine)
    return Gallery(int(table["seed"].iloc[0]), *labels, images)


def _facts(study: Study) -> dict[str, str]:
    """What was trained on what: data set, networks, epochs, seeds."""
    whole, hierarchy = study.systems[0].bilateral, study.hierarchy
    counts = f"{len(hierarchy.fine_names)} fine and {len(hierarchy.coarse_names)} coarse labels"
    models = whole.config.model.hemispheres
    trained = {side: run.config.training.epochs for side, run in study.systems[0].alone.items()}
    epochs = [
        *(f"{side} {count}" for side, count in trained.items()),
        f"{'then heads ' * bool(trained)}{whole.config.training.epochs}",
    ]
    additions = whole.config.model.additions
    return {
        "Data": f"{whole.record.data.name}, {counts}",
        "Architecture": " + ".join(model.arch for model in models.values()),
        "Width": " + ".join(dict.fromkeys(f"{model.width:g}" for model in models.values())),
        **({"With": ", ".join(additions)} if additions else {}),
        "Epochs": ", ".join(epochs),
        "Seeds": str(len(study.rows[study.subject].runs)),
    }


def _provenance(study: Study, results: Sequence[AnalysisResult], with_images: bool) -> dict[str, str]:
    runs = [run for row in study.rows.values() for group in row.runs.values() for run in group]
    commits = sorted({str(run.record.commit) for run in runs})
    machines = sorted({str(run.record.machine.get("device")) for run in runs})
    data = study.systems[0].bilateral.record.data
    by = sorted({result.commit or "unknown" for result in results})
    on = next((result.machine.get("device") for result in results), None)
    ended = max((result.finished for result in results), default="")
    analysed = {
        "analysed by": f"commit {', '.join(by)} on {on}",
        "analysed in": f"{sum(result.seconds for result in results):.0f} s, ended {ended}",
    }
    return {
        "data set": f"{data.name}, fingerprint {data.fingerprint[:12]}",
        "protocol": study.config.protocol,
        "seeds": ", ".join(map(str, study.rows[study.subject].runs)),
        "networks looked into": study.rows[study.subject].title,
        "trained by": f"commit {', '.join(commits)} on {', '.join(machines)}",
        "last training ended": max(str(run.record.finished) for run in runs),
        **(analysed if results else {}),
        "command": f"bilateral report {_named(study.folder)}{'' if with_images else ' --no-images'}",
    }


def _named(folder: Path) -> str:
    """A folder as it was given; without what only this machine has."""
    return folder.name if folder.is_absolute() else folder.as_posix()


def _notes(study: Study, with_images: bool) -> list[str]:
    notes = []
    count = len(study.rows[study.subject].runs)
    if count < 2:
        notes.append("One seed: no interval, and no verdict on any claim. Give more seeds.")
    elif count < 5:
        notes.append(f"{count} seeds: intervals over seeds are wide; a difference may be real and not be shown here.")
    if study.config.protocol == "original":
        notes.append("protocol: original. The test images validated; figures on them are not of unseen images.")
    if not with_images:
        notes.append(
            "Made without test images (--no-images), which may not be handed on; without that option it has them."
        )
    return notes
