"""Errors that tell a person what to mend. The command line prints their text alone, without a traceback."""


class BilateralError(Exception):
    """Something that the user can put right. The text says in one sentence what, where and what is allowed."""

    exit_code = 2


class ConfigError(BilateralError):
    """A config that cannot be read, is unknown in a key, or contradicts itself."""


class DataError(BilateralError):
    """A data set that is missing, corrupt, incomplete or outside its label hierarchy."""


class CheckpointError(BilateralError):
    """A checkpoint that cannot be read or does not fit the network."""


class OutputError(BilateralError):
    """A place that cannot be written, is full, or belongs to another process just now."""


class WorkFailedError(BilateralError):
    """What was asked for is right, and yet it could not be done."""

    exit_code = 1


class TrainingDivergedError(WorkFailedError):
    """The loss stopped being a finite number. The run stands as its last good checkpoint left it."""


class WorkerError(WorkFailedError):
    """A process that works for this one has died."""


class RunsFailedError(WorkFailedError):
    """Some runs of an experiment failed, while all others were done."""


class AnalysesFailedError(WorkFailedError):
    """Some analyses failed in a way that nobody foresaw, while all others were done."""


class OutOfMemoryError(WorkFailedError):
    """More memory is needed than there is."""
