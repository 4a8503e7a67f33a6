"""The published experiment: every row of its table, planned, done, measured and compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..data.images import HierarchicalDataset
from ..models.cost import network_cost
from ..runs.config import Config
from ..runs.estimate import epochs_done, seconds_per_flop, training_seconds
from ..runs.execution import resolve, split
from ..runs.plan import Run
from ..runs.predictions import Predictions
from ..runs.runner import Runner, RunResult, find_folder
from ..runs.scheduling import Executor, Failure, run_plan, with_parents
from ..training.cost import training_flops
from ..training.run_record import PREDICTIONS
from .comparison import Comparison, ImageComparison, compare_images, compare_rows
from .measures import measure
from .rows import Row, plan_rows, reference_rows


@dataclass(frozen=True)
class RunCost:
    """What a run costs: parameters, multiply-adds of one image's forward pass, FLOPs of the run's own training."""

    parameters: int
    trainable_parameters: int
    multiply_adds: int
    training_flops: int


@dataclass(frozen=True)
class PlannedRun:
    """A run of the plan: its state ("finished", "epoch 3 of 10", "to do"), its cost, and the time that is left."""

    identity: str
    run: Run
    state: str
    cost: RunCost
    seconds: float


@dataclass(frozen=True)
class RowResult:
    """A row of the table: by seed, its measures (MEASURES), and its training time; what is the same for all seeds.

    Seeds of which a run failed are absent. costs: `parameters`, `trainable_parameters` and `multiply_adds` of all its
    networks together, and `training_pflops` (10^15) of every training that they come from.
    """

    row: Row
    measures: dict[int, dict[str, float]]
    costs: dict[str, float]
    training_s: dict[int, float]
    folders: dict[int, list[str]]


@dataclass(frozen=True)
class Table:
    """All that came of an experiment."""

    rows: list[RowResult]
    comparisons: list[Comparison]
    image_comparisons: list[ImageComparison]
    failures: list[Failure]


class Experiment:
    """The plan of a config's experiment on a data set: its rows, and all runs that they need, by identity.

    Raises what `plan_rows` and `Runner.check` raise, before anything is run.
    """

    def __init__(self, config: Config, dataset: HierarchicalDataset) -> None:
        self.config, self.dataset = config, dataset
        self.rows = plan_rows(config, dataset)
        self.references = reference_rows(config, self.rows)
        self.runner = Runner(dataset, waits=True)
        self.runs = [run for row in self.rows for runs in row.runs.values() for run in runs]
        self.runner.check(self.runs)
        self.plan = with_parents(self.runner, self.runs)
        self._sizes = tuple(len(images) for images in split(config, dataset))

    def preview(self) -> list[PlannedRun]:
        """Say of every run whether it is done, and how long it will take; a few training steps may be timed for it."""
        costs = {identity: self.cost(run) for identity, run in self.plan.items()}
        folders = {identity: find_folder(resolve(run), identity) for identity, run in self.plan.items()}
        finished = {identity for identity, run in self.plan.items() if self.runner.find(run) is not None}
        trained = [
            (costs[identity].training_flops, folder)
            for identity, folder in folders.items()
            if folder is not None and identity in finished
        ]
        missing = [run for identity, run in self.plan.items() if identity not in finished]
        pace = seconds_per_flop(trained, resolve(missing[0]), self.dataset) if missing else 0.0
        planned = []
        for identity, run in self.plan.items():
            epochs, done = run.config.training.epochs, epochs_done(folders[identity])
            left = 0.0 if identity in finished else 1 - min(done, epochs) / epochs
            state = "finished" if identity in finished else f"epoch {done} of {epochs}" if done else "to do"
            cost = costs[identity]
            planned.append(PlannedRun(identity, run, state, cost, left * cost.training_flops * pace))
        return planned

    def run(self, executor: Executor) -> Table:
        """Do what is missing and make the table. A failure stops nothing but what needs it."""
        done = run_plan(self.runner, self.plan, executor, keep_going=True)
        results: dict[str, RunResult] = {key: each for key, each in done.items() if isinstance(each, RunResult)}
        rows, predictions = [], {}
        for row in self.rows:
            predictions[row.name] = self._predictions(row, results)
            rows.append(self._row(row, predictions[row.name], results))
        measures = {result.row.name: result.measures for result in rows}
        return Table(
            rows,
            compare_rows(measures, self.references),
            compare_images(predictions, self.references),
            [each for identity in self.plan if isinstance(each := done[identity], Failure)],
        )

    def cost(self, run: Run) -> RunCost:
        """What a run costs by itself, its parents left out."""
        run = resolve(run)
        hierarchy, (channels, height, width) = self.dataset.hierarchy, self.dataset.train.images.shape[1:]
        model = run.config.model
        cost = network_cost(model, hierarchy.fine_count, hierarchy.coarse_count, (height, width), channels)
        flops = training_flops(cost, model, run.config.training, *self._sizes)
        return RunCost(cost.parameters, cost.trainable_parameters, cost.forward_flops // 2, flops)

    def _predictions(self, row: Row, results: Mapping[str, RunResult]) -> dict[int, Predictions]:
        by_seed = {}
        for seed, runs in row.runs.items():
            found = [results.get(self.runner.identity(run)) for run in runs]
            if all(found):
                parts = [Predictions.load(result.folder / PREDICTIONS) for result in found if result]
                by_seed[seed] = row.combine(parts, self.dataset.hierarchy)
        return by_seed

    def _row(self, row: Row, predictions: Mapping[int, Predictions], results: Mapping[str, RunResult]) -> RowResult:
        own = [self.cost(run) for run in next(iter(row.runs.values()))]
        costs: dict[str, float] = {
            "parameters": sum(cost.parameters for cost in own),
            "trainable_parameters": sum(cost.trainable_parameters for cost in own),
            "multiply_adds": sum(cost.multiply_adds for cost in own),
        }
        flops = [self.cost(run).training_flops for run in self._trainings(next(iter(row.runs.values()))).values()]
        costs["training_pflops"] = sum(flops) / 1e15
        trainings = {seed: self._trainings(row.runs[seed]) for seed in predictions}
        return RowResult(
            row,
            {seed: measure(each, self.dataset.hierarchy) for seed, each in predictions.items()},
            costs,
            {
                seed: sum(training_seconds(results[identity].folder) for identity in runs)
                for seed, runs in trainings.items()
            },
            {seed: [str(results[self.runner.identity(run)].folder) for run in row.runs[seed]] for seed in predictions},
        )

    def _trainings(self, runs: Sequence[Run]) -> dict[str, Run]:
        return with_parents(self.runner, runs)
