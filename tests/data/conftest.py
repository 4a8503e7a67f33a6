import io
import pickle
import struct
from collections.abc import Callable

import pytest

from data.image_trees import write_documented, write_nested


class Python2Pickler(pickle._Pickler):
    """Writes protocol 2 as Python 2 did: str and bytes alike are byte strings without an encoding."""

    def save_byte_string(self, value: str | bytes) -> None:
        content = value.encode() if isinstance(value, str) else value
        if len(content) < 256:
            self.write(pickle.SHORT_BINSTRING + struct.pack("<B", len(content)) + content)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    dispatch = pickle._Pickler.dispatch | {str: save_byte_string, bytes: save_byte_string}


@pytest.fixture(scope="session")
def python2_pickle() -> Callable[[object], bytes]:
    """Pickle as Python 2 with its numpy would have: the form in which CIFAR-100 was published."""

    def dumps(value: object) -> bytes:
        buffer = io.BytesIO()
        Python2Pickler(buffer, protocol=2).dump(value)
        return buffer.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")

    return dumps


@pytest.fixture
def nested(tmp_path):
    write_nested(tmp_path / "train")
    write_nested(tmp_path / "test", first_seed=100)
    return tmp_path


@pytest.fixture
def documented(tmp_path):
    write_documented(tmp_path / "train")
    write_documented(tmp_path / "test", first_seed=100)
    return tmp_path
