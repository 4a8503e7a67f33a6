"""The package as others get it: an archive of the source and a wheel, complete, and its constraints."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import bilateral

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DEMANDS = [
    demand
    for text in [*PROJECT["dependencies"], *EXTRAS["analysis"], *EXTRAS["cluster"], *EXTRAS["dev"]]
    if (demand := Requirement(text)).name != "bilateral"
]


def pins(name):
    lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
    return {pin.lower().replace("_", "-"): version for pin, _, version in (line.partition("==") for line in lines)}


LOWEST, PINNED = pins("constraints-lowest.txt"), pins("constraints.txt")
BUILD = "import sys, setuptools.build_meta as backend; backend.build_sdist(sys.argv[1])"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the archive of the source, and one in which the wheel made from it is installed."""
    folder = tmp_path_factory.mktemp("built")
    source, archives, installed = folder / "source", folder / "archives", folder / "installed"
    source.mkdir()
    for name in ("src", "configs"):  # to which a link in the package leads
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-c", BUILD, archives, cwd=source)
    (archive,) = archives.glob("*.tar.gz")
    alone = ("--quiet", "--no-deps", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "install", *alone, "--no-build-isolation", "--target", installed, archive)
    return archive, installed


def run(*command, cwd=None, **environment):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def package_files(folder):
    paths = [Path(place, name) for place, _, names in os.walk(folder, followlinks=True) for name in names]
    return {str(path.relative_to(folder)) for path in paths if path.suffix != ".pyc"}


def test_archive_and_wheel_hold_every_file_of_the_package(built):
    archive, installed = built
    ours = package_files(ROOT / "src" / "bilateral")
    assert package_files(installed / "bilateral") == ours
    with tarfile.open(archive) as file:
        names = {name.partition("/src/bilateral/")[2] for name in file.getnames()}
    assert ours <= names


def test_what_is_installed_has_this_version_and_its_command_works_elsewhere(built, tmp_path):
    _, installed = built
    (record,) = installed.glob("*.dist-info")
    assert PathDistribution(record).version == bilateral.__version__
    environment = {"PYTHONPATH": str(installed), "PATH": str(installed / "bin")}
    assert "Deep learning with two specialised hemispheres" in run(
        sys.executable, "-m", "bilateral", "--help", cwd=tmp_path, env=environment
    )
    assert (
        run(installed / "bin" / "bilateral", "--version", cwd=tmp_path, env=environment).strip()
        == bilateral.__version__
    )
    preset = run(sys.executable, "-m", "bilateral", "info", "configs/table.yaml", cwd=tmp_path, env=environment)
    assert "name: my_table" in preset
    assert str(installed) in run(sys.executable, "-c", "print(__import__('bilateral').__file__)", env=environment)


@pytest.mark.parametrize("demand", DEMANDS, ids=lambda demand: demand.name)
def test_the_oldest_versions_are_those_that_pyproject_allows_and_pinned_ones_are_allowed(demand):
    oldest = [each.version for each in demand.specifier if each.operator == ">="]
    assert oldest == [LOWEST[demand.name.lower()]]
    assert PINNED[demand.name.lower()] in demand.specifier


def test_nothing_else_is_pinned_to_its_oldest_version():
    assert LOWEST.keys() == {demand.name.lower() for demand in DEMANDS}
