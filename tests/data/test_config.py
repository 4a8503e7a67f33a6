import pytest
from pydantic import ValidationError

from bilateral.data.config import DataConfig


@pytest.mark.parametrize(
    "settings",
    [
        {"num_workers": 10**9},
        {"num_workers": -1},
        {"split_seed": 2**64},
        {"split_seed": -(2**63) - 1},
        {"image_size": 10**9},
    ],
)
def test_numbers_that_no_machine_takes(settings):
    with pytest.raises(ValidationError):
        DataConfig(**settings)


def test_seeds_up_to_the_last():
    for seed in (-(2**63), 2**64 - 1):
        assert DataConfig(split_seed=seed).split_seed == seed
