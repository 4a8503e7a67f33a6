"""Runs as tasks of a Dask cluster: one that is there, or one started on SLURM and its like.

The workers read the data set and write the runs where the config says, so all machines must see these folders, by the
same paths. A task whose worker dies is given to another one, where it goes on from its last checkpoint.
"""

import importlib
import logging
import math
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from ..base.errors import ConfigError
from ..data import sources
from ..data.config import DataConfig
from ..data.images import HierarchicalDataset
from .execution import resolve
from .plan import Run
from .runner import Runner, RunResult
from .scheduling import Executor, Submit

log = logging.getLogger(__name__)

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


def dask(address: str, demand: Sequence[str]) -> Executor:
    """Execute on the Dask cluster whose scheduler is at `address`, such as tcp://10.0.0.1:8786.

    demand: what a run takes of its worker's resources, as NAME=NUMBER; CPU is also its number of threads, else one.
    Raises ConfigError where Dask is not installed, nothing answers, or no worker has what is demanded.
    """
    resources = _resources(demand)
    distributed = _module("distributed")

    @contextmanager
    def execute(missing: Mapping[str, Run]) -> Iterator[Submit]:
        try:
            client = distributed.Client(address, timeout=PATIENCE)
        except (OSError, ValueError) as error:
            raise ConfigError(f"--address: there is no Dask scheduler at {address}: {error}") from error
        with client:
            workers = client.scheduler_info(n_workers=-1)["workers"].values()
            able = [each for each in workers if all(each["resources"].get(k, 0) >= v for k, v in resources.items())]
            if workers and not able:
                raise ConfigError(
                    f"--demand: no worker at {address} has {' '.join(demand)}; start workers with "
                    f'`dask worker {address} --nthreads 1 --resources "{" ".join(demand)}"`'
                )
            if not workers:
                log.warning("the scheduler at %s has no worker yet: waiting for one", address)
            with _submitting(client, resources, int(resources.get("CPU", 1))) as submit:
                yield submit

    return Executor(execute)


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
        with make(processes=1, worker_extra_args=extra) as cluster, _module("distributed").Client(cluster) as client:
            cluster.scale(jobs=min(jobs, len(missing)))
            with _submitting(client, {"RUN": 1}, int(settings["cores"])) as submit:
                yield submit

    return Executor(execute)


def do_run(run: Run, threads: int) -> RunResult:
    """Do one (resolved) run in a worker, with so many threads."""
    with _ALONE:
        torch.set_num_threads(threads)
        # A worker that the scheduler has given up, or one of a command that was stopped, may still be at it.
        return Runner(_load(run.config.data), waits=True).run(run, check=False)


@contextmanager
def _submitting(client: Any, resources: Mapping[str, float], threads: int) -> Iterator[Submit]:
    with client.get_executor(pure=False, resources=dict(resources) or None) as executor:
        try:
            # Resolved here, so that the run has one identity, whatever the worker could do.
            yield lambda run: executor.submit(do_run, _with_absolute_paths(resolve(run)), threads)
        except BaseException:
            executor.shutdown(wait=False)
            raise


# A process draws random numbers and sets its threads for one run at a time, however many tasks Dask gives it.
_ALONE = threading.Lock()


@lru_cache(maxsize=1)
def _load(data: DataConfig) -> HierarchicalDataset:
    return sources.load(data)


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
    config = config.model_copy(
        update={"save_dir": config.save_dir.absolute(), "data": config.data.model_copy(update=data)}
    )
    parents = {part: _with_absolute_paths(parent) for part, parent in run.parents.items()}
    return Run(config, run.seed, run.role, parents)
