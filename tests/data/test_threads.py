import io
import sys

import pytest

from bilateral.data import threads
from bilateral.data.threads import for_each


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("num_workers", [0, 1, 4])
def test_results_come_in_order(num_workers):
    for count in (1000, 1024, 1025):
        assert for_each(str, range(count), "counting", num_workers) == [str(number) for number in range(count)]
    assert for_each(str, [], "counting", num_workers) == []


@pytest.mark.parametrize("num_workers", [0, 4])
def test_the_first_error_is_raised(num_workers):
    def fail_late(number: int) -> None:
        if number in (300, 700, 999):
            raise ValueError(number)

    with pytest.raises(ValueError, match="300"):
        for_each(fail_late, range(1000), "counting", num_workers)


@pytest.mark.parametrize(
    ("stream", "patience_s", "shown"), [(Terminal, 0, True), (Terminal, 60, False), (io.StringIO, 0, False)]
)
def test_a_bar_is_shown_to_a_person_who_waits(monkeypatch, stream, patience_s, shown):
    monkeypatch.setattr(sys, "stderr", stream())
    monkeypatch.setattr(threads, "_PATIENCE_S", patience_s)
    monkeypatch.setenv("TERM", "xterm")
    for_each(str, range(1000), "counting", 0)
    assert ("counting" in sys.stderr.getvalue()) == shown
