import pytest

from bilateral.base.errors import ConfigError
from bilateral.benchmark import compiled


@pytest.fixture
def here(monkeypatch):
    """Stay in this process."""
    monkeypatch.setattr(compiled, "in_child", lambda function, *arguments: function(*arguments))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "anywhere")


def test_warm_up_is_what_the_first_epoch_takes_more(small, monkeypatch, recorded, here):
    monkeypatch.setattr(compiled, "train", recorded)
    recorded.seconds = [9.0, 1.0, 2.0, 4.0]
    measured = compiled.measure_compiled(small, 100, epochs=4)
    assert measured["compiled_images_per_s"] == 50
    assert measured["compiled_warm_up_s"] == 7
    assert set(measured) == set(compiled.KEYS)
    assert recorded.jobs[0].config.compile


def test_where_nothing_compiles_the_reason_is_given(small, monkeypatch, here):
    def refuse(job):
        raise ConfigError("training.compile: no compiler")

    monkeypatch.setattr(compiled, "train", refuse)
    measured = compiled.measure_compiled(small, 100)
    assert measured == {**dict.fromkeys(compiled.KEYS), "compiled_failure": "training.compile: no compiler"}
