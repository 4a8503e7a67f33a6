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


class TrainingDivergedError(BilateralError):
    """The loss stopped being a finite number. The run stands as its last good checkpoint left it."""

    exit_code = 1


class WorkerError(BilateralError):
    """A process that works for this one has died."""

    exit_code = 1


class RunsFailedError(BilateralError):
    """Some runs of an experiment failed, while all others were done."""

    exit_code = 1


class AnalysesFailedError(BilateralError):
    """Some analyses failed in a way that nobody foresaw, while all others were done."""

    exit_code = 1


class OutOfMemoryError(BilateralError):
    """More memory is needed than there is."""

    exit_code = 1
