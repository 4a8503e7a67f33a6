"""Runs as tasks of a Dask cluster: one that is there, or one started on SLURM and its like.

The workers read the data set and write the runs where the config says, so all machines must see these folders, by the
same paths. A task whose worker dies is given to another one, where it goes on from its last checkpoint.
"""

import asyncio
import importlib
import logging
import math
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..base.errors import ConfigError
from ..base.own_code import describe
from . import identity
from .execution import resolve
from .plan import Run, named_weights, with_weights
from .scheduling import Executor, Submit

QUEUES = {name.lower(): f"{name}Cluster" for name in ("SLURM", "PBS", "SGE", "LSF", "HTCondor", "OAR", "Moab")}
"""Batch systems that dask-jobqueue starts workers on, with the settings of its own config file."""
PATIENCE_S = 20.0
"""How long a scheduler may take to answer at the start."""
_NOISY = ("distributed", "asyncio", "tornado", "bokeh")


def dask(address: str, demand: Sequence[str]) -> Executor:
    """Execute on the Dask cluster whose scheduler is at `address`, such as tcp://10.0.0.1:8786.

    demand: what a run takes of its worker's resources, as NAME=NUMBER; CPU is also its number of threads, else one.
    Raises ConfigError where Dask is not installed, no scheduler answers, no worker has what is demanded, or one has
    other code or data; ExecutorLostError where the cluster goes in the middle.
    """
    resources = _resources(demand)
    distributed = _module("distributed")

    @contextmanager
    def execute(missing: Mapping[str, Run]) -> Iterator[Submit]:
        with _quiet():
            _find_scheduler(address)
            try:
                client = distributed.Client(address, timeout=PATIENCE_S, set_as_default=False)
            except (OSError, ValueError) as error:
                raise ConfigError(f"--address: there is no Dask scheduler at {address}: {error}") from error
            with client, _submitting(client, address, resources, int(resources.get("CPU", 1)), missing) as submit:
                yield submit

    return Executor(execute, name="dask")


def batch_system(name: str, jobs: int) -> Executor:
    """Execute in `jobs` jobs of a batch system (a key of QUEUES), one run at a time in each, with all of its cores.

    What a job gets stands in dask-jobqueue's config file. Raises ConfigError where that or the system is missing.
    """
    jobqueue, config = _module("dask_jobqueue"), _module("dask").config
    settings = {key: config.get(f"jobqueue.{name}.{key}") for key in ("cores", "memory")}
    missing = [key for key, value in settings.items() if value is None]
    if missing:
        raise ConfigError(
            f"--executor {name}: jobqueue.{name}.{missing[0]} is not set; what a job gets stands in "
            "~/.config/dask/jobqueue.yaml (https://jobqueue.dask.org)"
        )
    make = getattr(jobqueue, QUEUES[name])
    program = make.job_cls.submit_command.split()[0]
    if shutil.which(program) is None:
        raise ConfigError(f"--executor {name}: this machine has no {program} to submit jobs with")

    @contextmanager
    def execute(missing: Mapping[str, Run]) -> Iterator[Submit]:
        extra = ["--resources", "RUN=1"]
        with (
            _quiet(),
            make(processes=1, worker_extra_args=extra) as cluster,
            _module("distributed").Client(cluster, set_as_default=False) as client,
        ):
            _submit_jobs(cluster, name, min(jobs, len(missing)))
            with _submitting(client, name, {"RUN": 1}, int(settings["cores"]), missing, queued=True) as submit:
                yield submit

    return Executor(execute, name=name)


def _submit_jobs(cluster: Any, name: str, jobs: int) -> None:
    """Submit jobs as `cluster.scale` does, which does not say whether they were accepted. Raises ConfigError."""
    for _ in range(jobs):
        cluster.worker_spec.update(cluster.new_worker_spec())
    try:
        cluster.sync(cluster._correct_state)
    except (OSError, RuntimeError) as error:
        for job in cluster.workers.values():
            if job.job_id is None:
                job.status = _module("distributed").Status.failed  # or Dask does not let its cluster close
        raise ConfigError(
            f"--executor {name}: no job could be submitted ({' '.join(str(error).split())}); what a job asks for "
            "stands in ~/.config/dask/jobqueue.yaml"
        ) from error


@contextmanager
def _submitting(
    client: Any,
    where: str,
    resources: Mapping[str, float],
    threads: int,
    missing: Mapping[str, Run],
    queued: bool = False,
) -> Iterator[Submit]:
    """Give what submits runs to a cluster, after its workers have shown that they can do them."""
    from .cluster_tasks import Tasks
    from .cluster_worker import Code, Task

    identities = {id(run): identity for identity, run in missing.items()}
    # Of all runs, so that every worker is asked once for all of its code.
    code = Code.here(name for run in missing.values() for name in identity.named_code(run.config.model))

    def task(run: Run) -> Task:
        # Resolved here, so that the run has one identity, whatever the worker could do.
        return Task(_with_absolute_paths(resolve(run)), identities.get(id(run)), code, threads)

    tasks = Tasks(client, where, resources, queued)
    try:
        tasks.wait_for_worker()
        if missing:
            tasks.check(task(next(iter(missing.values()))))
        yield lambda run: tasks.submit(task(run))
    finally:
        tasks.close()


def _find_scheduler(address: str) -> None:
    """Raise ConfigError if no Dask scheduler answers at an address in time.

    Dask's own client waits for an answer without an end.
    """
    found: list[str | None] = []
    # A thread, since a notebook has a loop of its own, and since looking up a name may take any time.
    ask = threading.Thread(target=lambda: found.append(asyncio.run(_scheduler_fault(address))), daemon=True)
    ask.start()
    ask.join(PATIENCE_S + 3)
    fault = found[0] if found else _SILENT
    if fault is not None:
        raise ConfigError(
            f"--address: there is no Dask scheduler at {address!r}: {fault}; give the address that `dask scheduler` "
            "prints, such as tcp://10.0.0.1:8786"
        )


_SILENT = "it does not answer as one does"


async def _scheduler_fault(address: str) -> str | None:
    from distributed import Security
    from distributed.comm import connect

    async def ask() -> Any:
        comm = await connect(address, PATIENCE_S, **Security().get_connection_args("client"))
        try:
            await comm.write({"op": "identity", "reply": True})
            return await comm.read()
        finally:
            comm.abort()

    try:
        answer = await asyncio.wait_for(ask(), PATIENCE_S + 1)
    except Exception as error:  # no address, nobody there, or an answer of another kind of server
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        return _SILENT if isinstance(root, TimeoutError) else describe(root)
    kind = answer.get("type") if isinstance(answer, dict) else None
    return None if kind == "Scheduler" else f"it is a {kind}" if kind else _SILENT


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask from printing tracebacks of what we tell in a sentence."""
    own = [name for name in logging.root.manager.loggerDict if name.startswith("distributed.")]
    levels = {logger: logger.level for logger in map(logging.getLogger, [*_NOISY, *own])}
    for logger in levels:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f'--executor: {name} is not installed; pip install "bilateral[cluster]"') from error


def _resources(demand: Sequence[str]) -> dict[str, float]:
    resources = {}
    for text in demand:
        name, _, number = text.partition("=")
        try:
            resources[name] = float(number)
        except ValueError:
            resources[name] = math.nan
        whole = name != "CPU" or resources[name] % 1 == 0
        if not name or not 0 < resources[name] < math.inf or not whole:
            raise ConfigError(f"--demand: {text!r} must have the form NAME=NUMBER, such as GPU=1 or CPU=4")
    return resources


def _with_absolute_paths(run: Run) -> Run:
    """The run as it is understood in another folder than ours."""
    config = run.config
    data = {key: value.absolute() for key, value in config.data if isinstance(value, Path)}
    weights = {prefix: path.absolute() for prefix, path in named_weights(config.model).items()}
    update = {"data": config.data.model_copy(update=data), "model": with_weights(config.model, weights)}
    config = config.model_copy(update={"save_dir": config.save_dir.absolute(), **update})
    parents = {part: _with_absolute_paths(parent) for part, parent in run.parents.items()}
    return Run(config, run.seed, run.role, parents)
