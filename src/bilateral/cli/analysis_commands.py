"""The commands that look into finished runs."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

from ..analysis.base import ANALYSES, find_analysis
from ..analysis.running import AnalysisResult
from ..analysis.running import analyse as run_analyses
from ..analysis.study import Study, open_study
from ..base.errors import ConfigError
from ..base.files import write_text

log = logging.getLogger(__name__)


def analyse(
    arguments: tuple[str, ...],
    only: list[str],
    also: list[str],
    row: str | None,
    output: Path | None,
    own_backbones: list[str],
    as_json: bool,
) -> None:
    """Do `bilateral analyse`."""
    study = _open(arguments, row, own_backbones)
    folder = output or study.folder / "analysis"
    results = run_analyses(study, [find_analysis(name) for name in [*(only or ANALYSES), *also]], folder)
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=1))
    else:
        _print(results)
    log.info("tables and figures: %s", folder)


def report(
    arguments: tuple[str, ...],
    output: Path,
    images: bool,
    also: list[str],
    row: str | None,
    own_backbones: list[str],
) -> None:
    """Do `bilateral report`."""
    from ..report.contents import contents  # with pandas, which takes a second to import
    from ..report.page import render

    if output.is_dir():
        raise ConfigError(f"--output: {output} is a folder; give a file, such as {output / 'report.html'}")
    study = _open(arguments, row, own_backbones)
    folder = study.folder / "analysis"
    names = [*(name for name in ANALYSES if images or name != "gallery"), *also]
    results = run_analyses(study, [find_analysis(name) for name in names], folder)
    write_text(output, render(contents(study, results, folder, images)))
    print(f"{output} ({output.stat().st_size / 1e6:.1f} MB)")


def _open(arguments: tuple[str, ...], row: str | None, own_backbones: list[str]) -> Study:
    paths = [Path(text) for text in arguments if "=" not in text]
    overrides = [text for text in arguments if "=" in text]
    if not paths:
        raise ConfigError("give the folder of an experiment ({name}-experiment), a system ({name}-system) or a run")
    for path in paths:
        if not path.is_dir():
            raise ConfigError(f"{path} is no folder; give that of an experiment, a system or a bilateral run")
    return open_study(paths, overrides, row, own_backbones)


def _print(results: list[AnalysisResult]) -> None:
    for result in results:
        print(f"{result.title}: {result.sentence or f'nothing, for {result.skipped}'}\n")
