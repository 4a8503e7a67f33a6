import pytest

from bilateral.base.errors import OutOfMemoryError
from bilateral.base.memory import available_bytes, check_memory


def test_more_than_there_is_is_refused_before_it_is_taken():
    check_memory(1e6, "a million", "take less")
    with pytest.raises(
        OutOfMemoryError, match=r"all of it needs 1,000,000.0 GB of memory, and .* GB are free; take less"
    ):
        check_memory(1e15, "all of it", "take less")


def test_the_system_says_what_is_free():
    free = available_bytes()
    assert free is None or 0 < free < 1e14
