"""The record of a finished run, `run.yaml`: what was run, by what, and the digests of what came of it."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..base.errors import OutputError
from ..base.files import file_digest, read_text, write_text
from ..base.run_folders import CHECKPOINTS, FILE, run_names
from ..base.yaml_files import YamlError, parse_yaml, to_yaml

PREDICTIONS = "predictions.npz"
HELD_OUT = "held_out_predictions.npz"
REMEDY = "the command that made the run makes it again"


_OLD_PREFIXES = {"left": "hemispheres.left", "right": "hemispheres.right", "network": ""}


def _with_prefixes(parents: Any) -> Any:
    """Parents by prefix, of older records too, which had sides."""
    named = isinstance(parents, dict)
    return {_OLD_PREFIXES.get(part, part): folder for part, folder in parents.items()} if named else parents


def _checked(recorded: str) -> str:
    run_names(recorded)
    return recorded


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class RecordedData(BaseModel):
    """The data set of a run: its name, and the digest of its content."""

    name: str
    fingerprint: str


class RunRecord(BaseModel):
    """What `run.yaml` says of a finished run.

    id, kind: digests of what determines the result, with and without the seed. parents: folders of the runs that it was
    made from, by the prefix of its state that each gave. metrics: of the test (0 to 1), empty where there was none.
    checkpoint: the tested one; None for a run that only tests. digests: SHA-256 by file, relative to the run's folder;
    older records have none. code: digest of the code that computed it.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    id: str
    kind: str
    role: str
    seed: Annotated[int, Field(ge=0)]
    parents: Annotated[dict[str, Annotated[str, AfterValidator(_checked)]], BeforeValidator(_with_prefixes)] = {}
    data: RecordedData
    metrics: dict[str, float]
    finished: str | None = None
    seconds_since_last_start: float | None = None
    commit: str | None = None
    code: str | None = None
    machine: dict[str, Annotated[int | str, Field(union_mode="left_to_right")]] = {}
    processes: int | None = None
    checkpoint: Literal["best", "last"] | None = None
    digests: dict[str, Digest] = {}

    def write(self, folder: Path) -> None:
        """Write it into a run's folder, whose run is finished by it."""
        write_text(folder / FILE, to_yaml(self.model_dump(mode="json", exclude_none=True)))


def read_record(folder: Path) -> RunRecord | None:
    """Read a finished run's record; None for an unfinished run. Raises OutputError if it is damaged."""
    path = folder / FILE
    remedy = "delete that file, and run the command that made the folder again"
    try:
        # As text, since an id may look like a number.
        return RunRecord.model_validate(parse_yaml(read_text(path), as_text=True))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror or error}; {remedy}") from error
    except (YamlError, UnicodeDecodeError) as error:
        raise OutputError(f"{path} is damaged ({error}); {remedy}") from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        reason = f"{where}: {problem['msg']}" if where else "it holds no keys and values"
        raise OutputError(f"{path} is no record of a run ({reason}); {remedy}") from error


def damage(folder: Path, record: RunRecord, name: str) -> str | None:
    """Say in a clause what is wrong with a file that a finished run left; None if it is as it was made."""
    path = folder / name
    try:
        digest = file_digest(path)
        if record.digests.get(name, digest) == digest:
            return None
        return f"{path} is not as its run left it (its digest is not that in {FILE})"
    except FileNotFoundError:
        return f"{path} is gone"
    except OSError as error:
        return f"{path} cannot be read ({error.strerror or error})"


def checkpoint_damage(path: Path) -> str | None:
    """Say what is wrong with a checkpoint that lies in a finished run's folder, as `damage` does; else None."""
    if path.parent.name != CHECKPOINTS:
        return None
    folder = path.parent.parent
    record = read_record(folder)
    name = f"{CHECKPOINTS}/{path.name}"
    return None if record is None or name not in record.digests else damage(folder, record, name)
