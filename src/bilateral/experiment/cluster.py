"""Runs as tasks of a Dask cluster: one that is there, or one started on SLURM and its like.

The workers read the data set and write the runs where the config says, so all machines must see these folders, by the
same paths. A task whose worker dies is given to another one, where it goes on from its last checkpoint.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import torch

from ..base.errors import ConfigError
from ..data import sources
from ..data.config import DataConfig
from ..data.images import HierarchicalDataset
from .plan import Run
from .runner import Runner, RunResult
from .scheduling import Executor, Submit

QUEUES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
}
"""Batch systems that dask-jobqueue starts workers on, with the settings of its own config file."""
PATIENCE = "20s"
"""How long a scheduler may take to answer."""


def dask(address: str | None, queue: str | None, jobs: int, demand: Sequence[str]) -> Executor:
    """Execute on a Dask cluster.

    address: of a scheduler, such as tcp://10.0.0.1:8786; or queue: a key of QUEUES, by which `jobs` workers are
    started. demand: what a run takes of its worker's resources, as NAME=NUMBER; one without it takes a whole worker
    process. A demand of CPUs is the run's number of threads.
    Raises ConfigError where Dask is not installed, or these settings make no sense.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError('--executor: Dask is not installed; pip install "bilateral[cluster]"') from error
    resources = _resources(demand)
    if (address is None) == (queue is None):
        raise ConfigError("--executor dask needs --address, the scheduler's, such as tcp://10.0.0.1:8786")

    @contextmanager
    def execute(missing: Mapping[str, Run]) -> Iterator[Submit]:
        try:
            cluster = _start(queue, jobs) if queue else address
            client = Client(cluster, timeout=PATIENCE)
        except (OSError, ValueError) as error:
            raise ConfigError(f"--address: there is no Dask scheduler at {address}: {error}") from error
        with client, client.get_executor(pure=False, resources=resources or None) as executor:

            def submit(run: Run) -> "Future[RunResult]":
                return executor.submit(do_run, _with_absolute_paths(run), int(resources.get("CPU", 0)))

            yield submit

    return execute


def do_run(run: Run, threads: int) -> RunResult:
    """Do one run in a worker. threads: 0 for as many as PyTorch takes by itself."""
    with _ALONE:
        if threads:
            torch.set_num_threads(threads)
        # A worker that the scheduler has given up, or one of a command that was stopped, may still be at it.
        return Runner(_load(run.config.data), waits=True).run(run, check=False)


# A process draws random numbers and sets its threads for one run at a time, however many tasks Dask gives it.
_ALONE = threading.Lock()


@lru_cache(maxsize=1)
def _load(data: DataConfig) -> HierarchicalDataset:
    return sources.load(data)


def _start(queue: str, jobs: int) -> object:
    try:
        import dask
        import dask_jobqueue
    except ImportError as error:
        raise ConfigError('--executor: dask-jobqueue is not installed; pip install "bilateral[cluster]"') from error
    missing = [key for key in ("cores", "memory") if dask.config.get(f"jobqueue.{queue}.{key}") is None]
    if missing:
        raise ConfigError(
            f"--executor {queue}: jobqueue.{queue}.{missing[0]} is not set; what a job gets stands in "
            "~/.config/dask/jobqueue.yaml (https://jobqueue.dask.org)"
        )
    cluster = getattr(dask_jobqueue, QUEUES[queue])()
    cluster.scale(jobs=jobs)
    return cluster


def _resources(demand: Sequence[str]) -> dict[str, float]:
    resources = {}
    for text in demand:
        name, _, number = text.partition("=")
        try:
            resources[name] = float(number)
        except ValueError:
            raise ConfigError(f"--demand: {text!r} must have the form NAME=NUMBER, such as GPU=1 or CPU=4") from None
    return resources


def _with_absolute_paths(run: Run) -> Run:
    """The run as it is understood in another folder than ours."""
    config = run.config
    data = {key: value.absolute() for key, value in config.data if isinstance(value, Path)}
    config = config.model_copy(
        update={"save_dir": config.save_dir.absolute(), "data": config.data.model_copy(update=data)}
    )
    parents = {part: _with_absolute_paths(parent) for part, parent in run.parents.items()}
    return Run(config, run.seed, run.role, parents)
