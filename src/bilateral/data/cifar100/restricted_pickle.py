"""Pickles of numpy arrays, numbers, strings, bytes and containers, as CIFAR-100's files are.

To read one never takes more memory than a small multiple of the file's size. Arrays stay where they stand in the
file's bytes, without a copy.
"""

import pickle
import struct
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ...base.errors import DataError
from ...base.pickles import VIEWED_FROM, DataPickle, ForeignObjectError, Global

_GLOBALS = {"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"}
_GLOBALS |= {"numpy.ndarray", "numpy.dtype", "_codecs.encode"}
_NUMBER_CODES = frozenset(kind + size for kind in "iu" for size in "1248") | {"f4", "f8"}
_BYTE_ORDERS = ("<", ">", "|", "=")
_LAST_LEAD_OF_LATIN1 = 0xC3  # in UTF-8


def load(data: bytearray | bytes, where: str) -> dict[str, Any]:
    """Read a pickled dict whose keys are strings; byte strings, as Python 2 wrote them, stay bytes.

    Arrays among its values are views: writable where `data` is a bytearray and holds their bytes as they are,
    read-only where they had to be decoded.
    Raises DataError, beginning with `where`, for a file that is cut off or corrupt, or holds more than data.
    """
    pickled = _ArrayPickle(memoryview(data))
    try:
        content = pickled.load()
        if pickled.position != len(data):
            raise pickle.UnpicklingError(f"{len(data) - pickled.position} bytes follow its end")
        if not isinstance(content, dict):
            raise pickle.UnpicklingError(f"it holds one {type(content).__name__} in place of a dict")
        return {_text(key): _finished(value) for key, value in content.items()}
    except ForeignObjectError as error:
        raise DataError(
            f"{where} is refused: it holds {error}, and only numpy arrays of numbers, numbers, strings, bytes "
            "and containers are read"
        ) from None
    except pickle.UnpicklingError as error:
        raise DataError(f"{where} is truncated or corrupt: {error}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
        reason = f"its instructions do not fit together ({error!s:.200})"
        raise DataError(f"{where} is truncated or corrupt: {reason}") from None


class _Unfinished:
    """A dtype or an array in the making. To a dtype its state adds the byte order, to an array all that it has."""

    def __init__(self, value: np.dtype | np.ndarray | None = None) -> None:
        self.value = value


class _ArrayPickle(DataPickle):
    strings = "bytes"
    _decoded = 0

    def find_class(self, module: str, name: str) -> Global:
        if f"{module}.{name}" not in _GLOBALS:
            raise ForeignObjectError(f"the global {module + '.' + name!r:.100}")
        return super().find_class(module, name)

    def call(self, function: Any, arguments: Any) -> Any:
        match function, arguments:
            case Global("_codecs.encode"), (str() as text, "latin1"):
                self._decoded += len(text)
                if self._decoded > len(self.data):
                    raise pickle.UnpicklingError("it decodes to more bytes than it has")
                return text.encode("latin1")
            case Global("numpy.dtype"), (str() | bytes() as code, int(), int()):
                if _text(code) not in _NUMBER_CODES:
                    raise ForeignObjectError(f"an array of dtype {_text(code)!r:.40}")
                return _Unfinished(np.dtype(_text(code)))
            case Global(name), (Global("numpy.ndarray"), (0,), b"b" | "b") if name.endswith("._reconstruct"):
                return _Unfinished()
        raise pickle.UnpicklingError("it calls something in a way that numpy does not")

    def build(self, made: Any, state: Any) -> None:
        match made.value, state:
            case np.dtype() as dtype, (int(), (str() | bytes()) as order, None, None, None, *_) if (
                _text(order) in _BYTE_ORDERS
            ):
                made.value = np.dtype(_text(order) + dtype.str[1:])
            case np.dtype(), _:
                raise ForeignObjectError("an array of a compound dtype")
            case _, (int(), tuple() as shape, _Unfinished(value=np.dtype() as dtype), fortran, content) if isinstance(
                content, bytes | memoryview
            ):
                if not all(type(length) is int and length >= 0 for length in shape):
                    raise pickle.UnpicklingError("an array's shape is not made of whole numbers")
                made.value = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
            case _:
                raise pickle.UnpicklingError("an array's state is not one that numpy writes")

    def _take_text(self, width: int) -> None:
        content = self.read(int.from_bytes(self.read(width), "little"))
        # One letter beyond Latin 1, which no array's bytes have, would make the whole text two or four times as large.
        if len(content) >= VIEWED_FROM and np.frombuffer(content, np.uint8).max() > _LAST_LEAD_OF_LATIN1:
            raise pickle.UnpicklingError("a long text is not an array's bytes")
        self.append(str(content, "utf-8"))

    dispatch: ClassVar[dict[int, Any]] = DataPickle.dispatch | {
        pickle.BINBYTES8[0]: pickle._Unpickler.dispatch[pickle.BINBYTES8[0]],
        pickle.SHORT_BINUNICODE[0]: partial(_take_text, width=1),
        pickle.BINUNICODE[0]: partial(_take_text, width=4),
        pickle.BINUNICODE8[0]: partial(_take_text, width=8),
    }


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _finished(value: object) -> object:
    if not isinstance(value, _Unfinished):
        return value
    if not isinstance(value.value, np.ndarray):
        raise pickle.UnpicklingError("an array has no content")
    return value.value
