"""What a command shows: text that cannot steer the terminal, in whatever encoding it has, and what an error looks like.

Exit codes: 0 done; 1 a training diverged, there was not enough memory, or some runs failed; 2 bad input; 3 a fault of
this program; 130 interrupted.
"""

import io
import logging
import os
import sys
import tempfile
import textwrap
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from shlex import quote
from shutil import which
from typing import NoReturn

from cyclopts import CycloptsError, UnknownOptionError
from rich.console import Console

from .. import __version__
from ..base.errors import BilateralError
from ..base.memory import is_out_of_memory
from ..base.text import REPLACEMENTS, register_replacements, shown

DEBUG = "BILATERAL_DEBUG"
"""Set in the environment, it shows a traceback at once."""
INTERNAL = 3
WIDTH = 80


def echo(text: str = "") -> None:
    """Print text of any origin on standard output."""
    print(shown(text, lines=True), flush=True)


def echo_filled(text: str, indent: str = "") -> None:
    """Print sentences in lines of 80 columns, all but the first one after `indent`."""
    echo(textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))


def echo_metrics(metrics: Mapping[str, float], indent: str = "") -> None:
    """Print losses, and accuracies in %; not the sum of two accuracies, which the original keeps in `test_acc`."""
    for name, value in metrics.items():
        if "_acc" not in name:
            echo(f"{indent}{name:20} {value:.4f}")
        elif f"{name}_fine" not in metrics:
            echo(f"{indent}{name:20} {100 * value:.2f} %")


def suggest(*commands: str) -> None:
    """Print what one may do next, as commands that can be pasted."""
    echo("\n".join(["Next:", *(f"  {_called(command)}" for command in commands)]))


def _called(command: str) -> str:
    """The command as this shell finds it: by its path where the environment of this program is not active."""
    name, _, rest = command.partition(" ")
    beside = Path(sys.argv[0]).with_name(name)
    return f"{quote(str(beside))} {rest}" if which(name) is None and beside.is_file() else command


def wide() -> Console:
    """Give a console as wide as the terminal, or 80 columns where there is none."""
    return Console(width=None if Console().is_terminal else WIDTH)


def exit_with(command: Callable[[], object]) -> NoReturn:
    """Run a command and exit with its code; what the user can mend is told in one sentence, without a traceback."""
    _prepare_output()
    code = INTERNAL
    try:
        code = _run(command)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not complain of it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def _prepare_output() -> None:
    """Let no character that the terminal's encoding lacks, or that would steer it, end or disguise a command."""
    # A stream that is closed: what is opened next would take its place, and get what libraries write there.
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    register_replacements()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=REPLACEMENTS)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Shown())
    logging.basicConfig(handlers=[handler])
    logging.getLogger("bilateral").setLevel(logging.INFO)  # libraries tell only what goes wrong
    warnings.showwarning = lambda message, *_, **__: print(
        f"warning: {shown(str(message), lines=True)}", file=sys.stderr
    )


class _Shown(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record), lines=True)


def _run(command: Callable[[], object]) -> int:
    try:
        command()
    except CycloptsError as error:
        if isinstance(error, UnknownOptionError):
            print("A setting has no dashes: key=value, such as training.epochs=3.", file=sys.stderr)
        return 2
    except BilateralError as error:
        return _tell(error, str(error), error.exit_code)
    except KeyboardInterrupt:
        print("bilateral: interrupted; a training goes on when the same command is given again", file=sys.stderr)
        return 130
    except BrokenPipeError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            return _tell(error, "there is not enough memory for this; fewer workers or images need less", 1)
        if isinstance(error, OSError) and error.errno is not None:
            return _tell(error, f"{error.filename or 'the system'}: {error.strerror or error}", 2)
        return _internal(error)
    return 0


def _tell(error: BaseException, sentence: str, code: int) -> int:
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    print(f"bilateral: {shown(sentence, lines=True)}", file=sys.stderr)
    return code


def _internal(error: BaseException) -> int:
    """What nobody thought of: one sentence, and the traceback in a file."""
    what = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if os.environ.get(DEBUG):
        return _tell(error, f"internal error, a fault of this program ({what})", INTERNAL)
    text = f"bilateral {__version__}, Python {sys.version}\n{sys.argv}\n\n{''.join(traceback.format_exception(error))}"
    try:
        handle, name = tempfile.mkstemp(".log", f"bilateral-error-{time.strftime('%Y%m%d-%H%M%S')}-")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123, it is open
            file.write(text)
        where = f"the traceback is in {name}; please report it"
    except OSError:
        where = f"{DEBUG}=1 shows the traceback"
    return _tell(error, f"internal error, a fault of this program ({what}); {where}", INTERNAL)
