import os
import subprocess
import sys

import pytest
import torch

from bilateral.training.kept_tensors import KeptTensors

PARTS = [
    {"left": torch.randn(3, 4).bfloat16(), "right": torch.randn(3, 2)},
    {"left": torch.randn(2, 4).bfloat16(), "right": torch.randn(2, 2)},
]
SIZE = 5 * (4 * 2 + 2 * 4)


@pytest.mark.parametrize("budget", [SIZE, SIZE - 1])
def test_rows_come_back_in_any_order_and_the_budget_holds(tmp_path, budget):
    kept = KeptTensors(5, budget, tmp_path)
    for part in PARTS:
        kept.append(part)
    rows = kept.rows(torch.tensor([4, 0, 4]))
    for name in ("left", "right"):
        whole = torch.cat([part[name] for part in PARTS]).float()
        assert torch.equal(rows[name], whole[[4, 0, 4]])
        assert rows[name].dtype == torch.float32
    assert kept.in_memory == (budget == SIZE)


def test_the_file_has_no_name_that_a_killed_process_would_leave(tmp_path):
    kept = KeptTensors(5, 0, tmp_path)
    kept.append(PARTS[0])
    assert not kept.in_memory
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space cannot be reserved")
def test_a_file_that_does_not_fit_is_an_error_that_names_the_folder(tmp_path):
    script = """
import pathlib, resource, sys, torch
from bilateral.base.errors import OutputError
from bilateral.training.kept_tensors import KeptTensors
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    KeptTensors(1000, 0, pathlib.Path(sys.argv[1])).append({"left": torch.zeros(1, 8)})
except OutputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert f"cannot write {tmp_path}" in done.stdout
