import platform
import subprocess
import sys

import pytest
import torch

from bilateral.base.errors import ConfigError
from bilateral.training.device import autocast, choose_device, describe_machine, resolve_precision, seed_everything


def test_a_device_that_is_not_there_is_an_error_that_says_what_is():
    assert choose_device("cpu").type == "cpu"
    for name in ("cuda", "mps"):
        if not getattr(torch, name).is_available():
            with pytest.raises(ConfigError, match=f"no {name}; usable here: auto"):
                choose_device(name)


def test_precision():
    cpu = torch.device("cpu")
    assert resolve_precision("float32", cpu) == "float32"
    assert resolve_precision("auto", cpu) in ("float32", "bfloat16")
    assert resolve_precision("auto", torch.device("mps")) == "float32"
    layer = torch.nn.Linear(2, 2)
    for precision in ("float32", "bfloat16"):
        with autocast(precision, cpu):
            assert layer(torch.ones(1, 2)).dtype == getattr(torch, precision)


def test_the_machine_is_described():
    assert describe_machine(torch.device("cpu"))["threads"] == torch.get_num_threads()


def test_seeding_is_torch_s_own():
    draws = []
    for seed in (lambda: torch.manual_seed(5), lambda: seed_everything(torch.device("cpu"), 5)):
        seed()
        draws.append(torch.rand(4))
    assert torch.equal(*draws)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_used_again():
    # In a process of its own, since the C library keeps the setting.
    script = """
import resource, sys, torch
from bilateral.training.device import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(20):  # until the heap has grown
    torch.ones(1 << 24).sum()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(1 << 24).sum()  # 64 MiB, 16,384 pages
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = {
        mode: int(
            subprocess.run([sys.executable, "-c", script, mode], capture_output=True, text=True, check=True).stdout
        )
        for mode in ("keep", "default")
    }
    assert faults["keep"] < 50_000 < 300_000 < faults["default"]
