"""The published experiment: every row of its table, planned, done, measured and compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..base.errors import BilateralError
from ..data.images import HierarchicalDataset
from ..runs.config import Config
from ..runs.estimate import epochs_done, seconds_per_flop, training_seconds
from ..runs.execution import resolve
from ..runs.experiment_config import ExperimentConfig
from ..runs.plan import Run
from ..runs.runner import Runner, RunResult, find_folder
from ..runs.scheduling import Executor, Failure, run_plan, with_parents
from ..runs.stored import StoredRun
from ..runs.workers import local
from .contrasts import contrast_rows
from .cost import Costs
from .joint_inference import exponent_of
from .measures import correct_images, measure
from .networks import settings_of
from .published import SYSTEM, SYSTEM_TITLES
from .results import Gain, RowResult, SeedResult, Table
from .rows import Row, find_row, plan_rows, without
from .seed_records import SeedRecord, join
from .sufficiency import doubts, late_rise


@dataclass(frozen=True)
class PlannedRun:
    """A run of the plan: its state ("finished", "epoch 3 of 10", "to do"), its cost, and the seconds that are left."""

    identity: str
    run: Run
    state: str
    parameters: int
    training_flops: int
    seconds: float


def system_config(config: Config, join: bool = True) -> Config:
    """Give the experiment that `bilateral system` is: left, right and, with `join`, the network of both."""
    whole = {"end_to_end": config.training, "fine_tuning": config.training}
    names = [name for name in SYSTEM if join or name != "specialised"]
    settings = {"rows": names, "titles": SYSTEM_TITLES, "contrasts": {"against": []}, **whole}
    return config.model_copy(update={"experiment": ExperimentConfig.model_validate(settings)})


class Experiment:
    """The plan of a config's experiment on a data set: its rows, and all runs that they need, by identity.

    given: what came of seeds that were done elsewhere, which are not done again. parts: as for `plan_rows`. Raises what
    `plan_rows` and `Runner.check` raise, before anything is run; OutputError for seeds that came of another data set.
    """

    def __init__(
        self,
        config: Config,
        dataset: HierarchicalDataset,
        given: Sequence[SeedRecord] = (),
        parts: Sequence[Config] = (),
    ) -> None:
        self.config, self.dataset, self.settings = config, dataset, settings_of(config)
        self.given = [record for record in given if record.seed in config.seeds]
        for record in self.given:
            record.check(dataset, config)
        self.rows = plan_rows(config, dataset, parts)
        self.costs = Costs(config, dataset)
        self.runner = Runner(dataset, waits=True)
        done = {record.seed for record in self.given}
        wanted = {
            row.name: [run for seed, runs in row.runs.items() for run in runs if seed not in done] for row in self.rows
        }
        if not config.evaluate:  # so that there is nothing to do for what is not trained
            wanted = {name: [run for run in runs if run.config.train] for name, runs in wanted.items()}
        for name, runs in wanted.items():
            self._check(name, runs)
        self.runs = [run for runs in wanted.values() for run in runs]
        self.plan = with_parents(self.runner, self.runs)

    def _check(self, name: str, runs: Sequence[Run]) -> None:
        """Check the runs of a row. What is wrong with a variant says which it is."""
        try:
            self.runner.check(runs)
        except BilateralError as error:
            if name not in self.settings.variants:
                raise
            raise type(error)(f"experiment.variants.{name}.set: {error}") from None

    def preview(self) -> list[PlannedRun]:
        """Say of every run whether it is done, and how long it will take; a few training steps may be timed for it."""
        flops = {identity: self.costs.training(run) for identity, run in self.plan.items()}
        finished = {identity: found for identity, run in self.plan.items() if (found := self.runner.find(run))}
        trained = [(flops[identity], found.folder) for identity, found in finished.items()]
        missing = [run for identity, run in self.plan.items() if identity not in finished]
        pace = seconds_per_flop(trained, resolve(missing[0]), self.dataset) if missing else 0.0
        planned = []
        for identity, run in self.plan.items():
            epochs, done = run.config.training.epochs, epochs_done(find_folder(resolve(run), identity))
            left = 0.0 if identity in finished else 1 - min(done, epochs) / epochs
            state = "finished" if identity in finished else f"epoch {done} of {epochs}" if done else "to do"
            parameters = self.costs.network(resolve(run).config.model).parameters
            planned.append(PlannedRun(identity, run, state, parameters, flops[identity], left * flops[identity] * pace))
        return planned

    def local(self) -> Executor:
        """The worker processes of this machine, as many as the config says."""
        return local(self.runner, self.runs, self.config.workers)

    def run(self, executor: Executor | None = None, gains: Sequence[Gain] = (), keep_going: bool = True) -> Table:
        """Do what is missing and make the table, which has no seeds where nothing is tested.

        executor: where that is done; `local` if None. keep_going: a failure stops nothing but what needs it. Otherwise
        it is raised.
        """
        work = {identity: self.costs.training(run) for identity, run in self.plan.items()}
        done = run_plan(self.runner, self.plan, executor or self.local(), keep_going, work)
        results: dict[str, RunResult] = {key: each for key, each in done.items() if isinstance(each, RunResult)}
        rows = join([self._row(row, results) for row in self.rows], self.given)
        correct = {row.name: {seed: found.correct for seed, found in row.seeds.items()} for row in rows}
        kinds = {row.name: row.kinds for row in rows}
        current = [gain for gain in gains if kinds.get(gain.row) == gain.kinds]
        family = self.settings.contrasts
        told = without(self.settings, {row.name for row in rows if row.seeds})
        compared = [(row, find_row(row.name, self.settings)) for row in rows if row.name in family.rows]
        # A verdict takes the networks of its rows as trained.
        trained = [row for row, published in compared if not (published and published.is_untrained)]
        told += doubts(trained, current, self.dataset.hierarchy)
        failures = [each for identity in self.plan if isinstance(each := done[identity], Failure)]
        return Table(rows, contrast_rows(correct, family), told, failures, current, bool(family.against))

    def _row(self, row: Row, results: Mapping[str, RunResult]) -> RowResult:
        first = next(iter(row.runs.values()))
        own = [self.costs.network(resolve(run).config.model) for run in first]
        costs = {
            "parameters": sum(cost.parameters for cost in own),
            "trainable_parameters": sum(cost.trainable_parameters for cost in own),
            "multiply_adds": sum(cost.forward_flops // 2 for cost in own),
            "training_pflops": sum(map(self.costs.training, with_parents(self.runner, first).values())) / 1e15,
        }
        seeds = {seed: found for seed, runs in row.runs.items() if (found := self._seed(row, runs, results))}
        return RowResult(row.name, row.title, costs, self.kinds(row), seeds)

    def kinds(self, row: Row) -> list[str]:
        """The kinds of a row's runs, which are the same for all seeds: digests of config, data and code."""
        return [resolve(run).kind(self.dataset.fingerprint) for run in next(iter(row.runs.values()))]

    def _seed(self, row: Row, planned: Sequence[Run], results: Mapping[str, RunResult]) -> SeedResult | None:
        """What came of a row's runs with one seed; None unless all are there."""
        identities = [self.runner.identity(run) for run in planned]
        if not self.config.evaluate or not results.keys() >= {*identities}:
            return None
        runs = [StoredRun.open(results[identity].folder) for identity in identities]
        trained = [StoredRun.open(results[identity].folder) for identity in with_parents(self.runner, planned)]
        hierarchy = self.dataset.hierarchy
        predictions = row.combine([run.predictions for run in runs], hierarchy)
        exponent = exponent_of([run.held_out for run in runs], row.combine, hierarchy)
        correct = correct_images(predictions, hierarchy, exponent)
        return SeedResult(
            measure(predictions, hierarchy, exponent),
            {name: right.numpy() for name, right in correct.items()},
            sum(training_seconds(run.folder) for run in trained),
            max(late_rise(run.epochs()) for run in trained),
            [str(run.folder) for run in runs],
        )
