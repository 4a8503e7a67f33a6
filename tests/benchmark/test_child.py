import os

import pytest

from bilateral.base.errors import ConfigError, WorkerError
from bilateral.benchmark.child import in_child
from bilateral.data.config import DataConfig
from bilateral.data.sources import find_loader


def test_a_child_is_another_process_and_hands_back_results_and_errors():
    assert in_child(os.getpid) != os.getpid()
    with pytest.raises(ConfigError, match="unknown source 'imagenet'"):
        in_child(find_loader, DataConfig(name="imagenet"))
    with pytest.raises(WorkerError, match="the system ended"):
        in_child(os._exit, 3)
