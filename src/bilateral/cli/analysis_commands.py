"""The commands that look into finished runs."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from .. import networks
from ..analysis.base import ANALYSES, Analysis, find_analysis, own_analyses
from ..analysis.opening import open_study
from ..analysis.running import analyse as run_analyses
from ..analysis.running import check_none_failed
from ..analysis.study import Study
from ..base.errors import ConfigError, OutputError
from ..base.files import check_place, nearest, to_json, write_text, writing
from ..base.own_code import refuse_strange
from .terminal import echo

log = logging.getLogger(__name__)


def analyse(
    *runs: str, only: list[str] | None, row: str | None, output: Path | None, own_code: list[str] | None, json: bool
) -> None:
    """Do `bilateral analyse`."""
    study, analyses = _open(runs, row, only or ANALYSES, own_code or [])
    folder = output or _folder_of(study, row)
    check_place(folder / "analysis.json")
    results = run_analyses(study, analyses, folder)
    if json:
        echo(to_json([asdict(result) for result in results], indent=1))
    else:
        for result in results:
            echo(f"{result.title}: {result.sentence or f'not computed: {result.reason}'}\n")
    log.info("tables and figures: %s", folder)
    check_none_failed(results, folder)


def report(*runs: str, output: Path | None, images: bool, row: str | None, own_code: list[str] | None) -> None:
    """Do `bilateral report`."""
    from ..report.contents import contents  # with pandas, which takes a second to import
    from ..report.page import render

    if output is not None:
        _check_page(output)
    names = [name for name in ANALYSES if images or name != "gallery"]
    study, analyses = _open(runs, row, names, own_code or [], is_whole=True)
    page, folder = output or study.folder / f"report{_of_row(row)}.html", _folder_of(study, row)
    check_place(page)
    check_place(folder / "analysis.json")
    results = run_analyses(study, analyses, folder)
    write_text(page, render(contents(study, results, folder, images)))
    echo(f"{page} ({page.stat().st_size / 1e6:.1f} MB)")
    check_none_failed(results, folder)


def _check_page(page: Path) -> None:
    with writing(page):
        is_folder = page.is_dir()
    if is_folder:
        raise ConfigError(f"--output: {page} is a folder; give a file, such as {page / 'report.html'}")
    check_place(page)


def _of_row(row: str | None) -> str:
    """What ends the names of files about a row that is asked for, so that they replace no other row's."""
    return "" if row is None else f"-{row}"


def _folder_of(study: Study, row: str | None) -> Path:
    """The folder of the analyses' files, beside the runs."""
    folder = study.folder / f"analysis{_of_row(row)}"
    if folder.is_symlink():
        raise OutputError(f"{folder} is a link that leads elsewhere; remove it, or make it a folder")
    return folder


def _open(
    arguments: tuple[str, ...], row: str | None, names: Sequence[str], own_code: list[str], is_whole: bool = False
) -> tuple[Study, list[Analysis]]:
    """Open the runs, and give with them the analyses of these names, then the user's own.

    is_whole: own code that any run names must be given.
    """
    own = own_analyses(own_code)
    chosen = [name for name in names if name not in {analysis.name for analysis in own}]
    found = {analysis.name: analysis for analysis in map(find_analysis, chosen)}
    for analysis in own:
        if found.setdefault(analysis.name, analysis) is not analysis:
            raise ConfigError(f"--own: two analyses are called {analysis.name!r}; rename one")
    paths = [Path(text) for text in arguments if "=" not in text]
    overrides = [text for text in arguments if "=" in text]
    if not paths:
        raise ConfigError("give the folder of an experiment ({name}-experiment), a system ({name}-system) or a run")
    for path in paths:
        if not path.is_dir() and networks.find(path) is None:
            hint = nearest(path) or "; give that of an experiment, a system or a bilateral run"
            raise ConfigError(f"{path} is no folder{hint}")
    study = open_study(paths, overrides, row, own_code)
    for run in [run for row in study.rows.values() for group in row.runs.values() for run in group if is_whole]:
        refuse_strange(run.config.named_code, own_code, str(run.folder), ConfigError)
    return study, list(found.values())
