"""The published experiment: every row of its table, planned, done, measured and compared."""

from dataclasses import dataclass

from ..data.images import HierarchicalDataset
from .config import Config
from .rows import plan_rows
from .runner import Runner, RunResult
from .scheduling import Executor, Failure, run_plan, with_parents


@dataclass(frozen=True)
class RunCost:
    """What a run's network costs: parameters, multiply-adds of one forward pass, FLOPs of its own training."""

    parameters: int
    trainable_parameters: int
    multiply_adds: int
    training_flops: int


class Experiment:
    """The plan of a config's experiment on a data set: its rows, and all runs that they need, by identity.

    Raises what `plan_rows` and `Runner.check` raise, before anything is run.
    """

    def __init__(self, config: Config, dataset: HierarchicalDataset) -> None:
        self.config, self.dataset = config, dataset
        self.rows = plan_rows(config, dataset)
        self.runner = Runner(dataset)
        self.runs = [run for row in self.rows for runs in row.runs.values() for run in runs]
        self.runner.check(self.runs)
        self.plan = with_parents(self.runner, self.runs)

    def run(self, executor: Executor) -> dict[str, RunResult | Failure]:
        """Do what is missing; a failure stops nothing but what needs it."""
        return run_plan(self.runner, self.plan, executor, keep_going=True)
