"""`bilateral COMMAND`: the commands, as cyclopts reads them."""

from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, NoReturn

from cyclopts import App, Parameter

from .. import __version__
from ..base.extras import need
from .arguments import RunOptions, Seeds
from .terminal import exit_with

app = App(
    name="bilateral",
    version=__version__,
    help="""Deep learning with two specialised hemispheres: a left one trained on fine labels, a right one on coarse
labels, joined under two heads.

Settings stand in a YAML file, and `key=value` arguments override them, such as
`training.epochs=20 model.left.width=0.5`. Exit codes: 0 done; 1 a training diverged,
there was not enough memory, or some runs failed; 2 bad input; 3 a fault of this program.""",
    help_epilogue="docs/config.md describes the keys of `key=value`; `bilateral info CONFIG` lists them with their "
    "values.",
    help_format="markdown",
    default_parameter=Parameter(negative=""),  # options that are on by default name theirs
    suppress_keyboard_interrupt=False,
)
_EXTRAS = {
    "analysis_commands": ("pandas", "matplotlib", "sklearn", "jinja2"),
    "sweep_command": ("pandas", "matplotlib", "sklearn"),
}
"""What modules of commands need beside the base install."""


def _command(module: str, sort_key: float) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare a command: its arguments and its help stand here, the function of the same name in `module` does it.

    That module is imported when the command is called, since PyTorch takes seconds to import.
    """

    def declare(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def call(*given: Any, **options: Any) -> None:
            for name in _EXTRAS.get(module, ()):
                need(name, "analysis", "this command")
            bound = signature(command).bind(*given, **options)
            bound.apply_defaults()
            getattr(import_module(f".{module}", __package__), command.__name__)(*bound.args, **bound.kwargs)

        app.command(call, sort_key=sort_key)
        return call

    return declare


def _several(help: str) -> Parameter:
    """About arguments of which there may be any number, or none."""
    return Parameter(help=help, show_default=False)


Checkpoint = Annotated[
    Path,
    Parameter(
        help="A checkpoint file, a run's folder (or one of runs, whose newest is taken), an exported folder, or the "
        "name of a network that comes with the package, such as cifar100-small."
    ),
]
OwnCode = Annotated[
    list[str] | None,
    Parameter(
        name=["--own", "--own-backbone", "--also"],
        help="Code of your own, `package.module:OBJECT`, that files may name, or an analysis to do; several times.",
    ),
]
JSON_SHARES = "Print JSON. Accuracies in it are shares; test_acc is the sum of both heads'."
Row = Annotated[str | None, Parameter(help="The experiment's row to look into; `specialised` if not given.")]
RowOfExperiment = Annotated[
    str | None, Parameter(name="--row", help="Of an experiment's folder, the row whose newest run is taken.")
]


@_command("train_commands", 1)
def system(
    *arguments: Annotated[
        str,
        _several(
            "A config file, then `key=value` overrides, such as `data.name=cifar100 data.root=DIR training.epochs=20`."
        ),
    ],
    seeds: Seeds = None,
    join: Annotated[bool, Parameter(negative="--no-join", help="Join the hemispheres after training them.")] = True,
    json: Annotated[bool, Parameter(help="Print the table as JSON.")] = False,
) -> None:
    """Train left and right hemispheres, join them frozen under two heads, train these, and print a table of all three.

    With no argument: the quickstart, on the embedded data set `shapes`. What is finished is reused, what was
    interrupted goes on: run the same command again.
    """


@_command("train_commands", 2)
def experiment(
    *arguments: Annotated[
        str, _several("A config file, such as configs/experiment/quick.yaml, then `key=value` overrides.")
    ],
    options: RunOptions = RunOptions(),  # noqa: B008, it cannot be changed
    seeds_from: Annotated[
        Path | None,
        Parameter(help="A folder of seeds done elsewhere (an experiment's `seeds`), which are taken as they are."),
    ] = None,
    twice: Annotated[
        bool, Parameter(help="Measure what twice the epochs bring, on held-out images, for the first seed.")
    ] = False,
    json: Annotated[bool, Parameter(help="Print JSON.")] = False,
) -> None:
    """Do the published experiment: specialised hemispheres beside all baselines, over several seeds, with statistics.

    A hemisphere trained once serves every row that needs it. What is finished is reused, what was interrupted goes on:
    run the same command again. Ends with one table, in the folder `{name}-experiment` in many forms.
    """


@_command("sweep_command", 2.1)
def sweep(
    *arguments: Annotated[str, _several("A config file, keys with the values to try, and `key=value` overrides.")],
    samples: Annotated[int | None, Parameter(help="Draw so many settings at random; without, all of the grid.")] = None,
    search_seed: Annotated[int | None, Parameter(help="Of the draws; 0 if not given.")] = None,
    row: Annotated[
        str | None,
        Parameter(help="The experiment's row to sweep; the one that the config's contrasts name if not given."),
    ] = None,
    measure: Annotated[
        list[str] | None,
        Parameter(
            help="Show this column of the experiment's table, such as joint_fine_pct, or of the held-out images, such "
            "as held_out_fine_pct; several times. Fine and coarse accuracy if not given.",
        ),
    ] = None,
    options: RunOptions = RunOptions(),  # noqa: B008, it cannot be changed
    output: Annotated[
        Path | None, Parameter(alias="-o", help="Folder for tables and figures, in place of `{name}-sweep`.")
    ] = None,
    json: Annotated[bool, Parameter(help="Print JSON.")] = False,
) -> None:
    """Try many settings of a config, over several seeds each: a grid, or random draws. Ends with tables and figures.

    `model.left.width=[0.25,0.5]` gives values, several keys make their product. With --samples, keys may have ranges:
    `'model.left.parts.noise.std=uniform(0,1)'`, `'loguniform(1e-3,1)'`, `'randint(1,8)'` (1 to 7). What is finished is
    reused, what was interrupted goes on: run the same command again.
    """


@_command("analysis_commands", 2.3)
def analyse(
    *runs: Annotated[
        str,
        _several(
            "The folder of an experiment ({name}-experiment), of a system ({name}-system), or of bilateral runs; then "
            "`data.KEY=VALUE` where the images lie elsewhere now."
        ),
    ],
    only: Annotated[list[str] | None, Parameter(help="Do this analysis alone; may be given several times.")] = None,
    row: Row = None,
    output: Annotated[
        Path | None,
        Parameter(
            alias="-o", help="Folder for tables and figures, in place of RUNS/analysis, with --row analysis-ROW."
        ),
    ] = None,
    own_code: OwnCode = None,
    json: Annotated[bool, Parameter(help="Print JSON.")] = False,
) -> None:
    """Look into finished runs, without training: tables (CSV) and figures (SVG, PNG), and what is to be seen in them.

    What was computed of the same runs by the same code is not computed again.
    """


@_command("analysis_commands", 2.6)
def report(
    *runs: Annotated[str, _several("As for `analyse`, which is done first where it was not done before.")],
    output: Annotated[
        Path | None,
        Parameter(alias="-o", help="The file to write, in place of RUNS/report.html, with --row report-ROW.html."),
    ] = None,
    images: Annotated[
        bool, Parameter(negative="--no-images", help="Show test images; without, the page holds no data.")
    ] = True,
    row: Row = None,
    own_code: OwnCode = None,
) -> None:
    """Write one page on finished runs: the answer, the table, all analyses, and images to explore. Opens offline."""


@_command("data_command", 2.8)
def data(
    *arguments: Annotated[
        str,
        _several(
            "A config file, then `key=value` overrides, such as "
            "`data.name=table data.root=labels.csv data.image_size=32`."
        ),
    ],
    sheet: Annotated[Path | None, Parameter(help="Also draw examples of every class, to this PNG file.")] = None,
) -> None:
    """Show what is read of a data set: classes by coarse label, images in each split, what is left out and why.

    Nothing is trained.
    """


@_command("train_commands", 3)
def train(
    *arguments: Annotated[
        str, _several("A config file, in our form or as the original code ships it, then `key=value` overrides.")
    ],
    seeds: Seeds = None,
    own_code: OwnCode = None,
    json: Annotated[bool, Parameter(help=JSON_SHARES)] = False,
) -> None:
    """Train and test one network for every seed of a config."""


@_command("use_commands", 4)
def evaluate(
    checkpoint: Annotated[
        Path, Parameter(help="A checkpoint file, of ours or of the original's format, or a run's folder.")
    ],
    /,
    *overrides: Annotated[
        str,
        _several(
            "`data.KEY=VALUE`: another data set than the one in the run's config. "
            "`model.lesions.NAME={kind: silence, at: left}`: test it with this damage."
        ),
    ],
    features: Annotated[
        Path | None, Parameter(help="Also write logits, features and labels to this .npz file.")
    ] = None,
    row: RowOfExperiment = None,
    own_code: OwnCode = None,
    json: Annotated[bool, Parameter(help=JSON_SHARES)] = False,
) -> None:
    """Test a trained network on its data set's test images."""


@_command("use_commands", 5)
def predict(
    checkpoint: Checkpoint,
    /,
    *images: Annotated[Path, Parameter(help="Image files of any size, and folders of them.")],
    top: Annotated[int, Parameter(help="How many labels of each level.")] = 3,
    row: RowOfExperiment = None,
    own_code: OwnCode = None,
    json: Annotated[bool, Parameter(help="Print JSON.")] = False,
) -> None:
    """Name what is on images: the most probable fine and coarse labels of each."""


@_command("use_commands", 5.2)
def export(
    run: Annotated[Path, Parameter(help="The folder of a finished run.")],
    output: Annotated[
        Path,
        Parameter(
            help="The folder to write, in the form that model hubs take: model.safetensors, config.yaml, README.md."
        ),
    ],
    /,
    *,
    own_code: OwnCode = None,
) -> None:
    """Write a trained network to hand it on: its weights in half precision, its config, a card of what it is."""


@_command("explore_command", 5.5)
def explore(
    checkpoint: Checkpoint,
    /,
    *overrides: Annotated[
        str,
        _several("`data.root=DIR`: where the data set lies whose test images the page offers, if not in the config."),
    ],
    host: Annotated[
        str, Parameter(help="Where to listen; the default is reached from this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, Parameter(help="0 takes any that is free.")] = 8765,
    open: Annotated[bool, Parameter(negative="--no-open", help="Open the page in the browser.")] = False,
    row: RowOfExperiment = None,
    own_code: OwnCode = None,
) -> None:
    """Show a trained network your own pictures in the browser, see where it looks, and silence its hemispheres.

    Serves a page until Ctrl-C. Pictures go to this program alone, and are not stored.
    """


@_command("use_commands", 6)
def prepare(
    raw: Annotated[Path, Parameter(help="The folder or tar.gz of CIFAR-100's python version.")],
    target: Annotated[Path, Parameter(help="The folder to write, such as datasets/CIFAR100.")],
    /,
    *,
    download: Annotated[bool, Parameter(help="Fetch CIFAR-100 into RAW if it is not there.")] = False,
) -> None:
    """Write CIFAR-100 as folders of images: `{train,test}/{fine,coarse}/LABEL/FILE.png`.

    Run again, it writes only what is missing.
    """


@_command("use_commands", 7)
def info(
    what: Annotated[Path | None, Parameter(help="A checkpoint file, a run's folder, or a config file.")] = None,
    /,
    *overrides: Annotated[str, _several("`key=value` for a config file.")],
) -> None:
    """Describe a checkpoint, a run or a config; with no argument, this installation and what it knows.

    Runs no code that a file names.
    """


@_command("bench_command", 8)
def bench(
    *arguments: Annotated[
        str,
        _several(
            "A config file, then `key=value` overrides, such as `model.left.arch=vgg11 training.precision=float32`."
        ),
    ],
    images: Annotated[int, Parameter(help="How many random images the measurements train on.")] = 1024,
    only: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True,
            help="Do these measurements alone: "
            "peak, loading, plain, training, at_once, beside, compiled, head_stage, memory.",
        ),
    ] = None,
    json: Annotated[bool, Parameter(help="Print JSON; every key ends in its unit.")] = False,
) -> None:
    """Measure what this machine does: matrix products, training beside a plain baseline, the head stage, memory.

    With no argument: resnet9 at full width, in about three minutes on two cores, and one or two more to compile it. The
    network is trained whole, on random images like CIFAR-100's; only `loading` opens the config's data set.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit with its code."""
    exit_with(lambda: app(arguments, exit_on_error=False, print_error=True, result_action="return_none"))
