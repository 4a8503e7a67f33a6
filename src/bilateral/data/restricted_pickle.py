"""Pickles read as data alone: numpy arrays, numbers, strings, bytes and containers.

pickle's own machine imports and calls whatever a file names, and takes as much memory as a file asks for. This
one knows only the instructions that write data, imports nothing, and never needs more memory than a small multiple
of the file's size. Arrays stay where they stand in the file's bytes, without a copy.
"""

import pickle
import struct
from enum import Enum, auto
from typing import Any

import numpy as np

from ..base.errors import DataError

_NUMBER_CODES = frozenset(kind + size for kind in "iu" for size in "1248") | {"f4", "f8"}
_BYTE_ORDERS = ("<", ">", "|", "=")
_VIEWED_FROM = 2**16  # bytes; a byte string of an array's length is not copied out of the file
_MOST_INSTRUCTIONS = 2**21  # CIFAR-100 has a tenth of them; each may make an object, much larger than itself
_LAST_LEAD_OF_LATIN1 = 0xC3  # in UTF-8
_LONGEST_LINE = 200  # characters of a global's name


def load(data: bytearray | bytes, where: str) -> dict[str, Any]:
    """Read a pickled dict whose keys are strings; byte strings, as Python 2 wrote them, stay bytes.

    Arrays among its values are views: writable where `data` is a bytearray and holds their bytes as they are,
    read-only where they had to be decoded.
    Raises DataError, beginning with `where`, for a file that is cut off or corrupt, or holds more than data.
    """
    try:
        content = _run(memoryview(data))
        if not isinstance(content, dict):
            raise _MalformedError(f"it holds one {type(content).__name__} in place of a dict")
        return {_text(key): _finished(value) for key, value in content.items()}
    except _RefusedError as error:
        raise DataError(
            f"{where} is refused: it holds {error}, and only numpy arrays of numbers, numbers, strings, bytes "
            "and containers are read"
        ) from None
    except _MalformedError as error:
        raise DataError(f"{where} is truncated or corrupt: {error}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
        reason = f"its instructions do not fit together ({error!s:.200})"
        raise DataError(f"{where} is truncated or corrupt: {reason}") from None


class _MalformedError(Exception):
    """Bytes that are no pickle."""


class _RefusedError(Exception):
    """A pickle of more than data."""


class _Global(Enum):
    """The only globals that a pickle of arrays needs. They stand for themselves; nothing is imported."""

    RECONSTRUCT = auto()
    NDARRAY = auto()
    DTYPE = auto()
    ENCODE = auto()


_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): _Global.RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _Global.RECONSTRUCT,
    ("numpy", "ndarray"): _Global.NDARRAY,
    ("numpy", "dtype"): _Global.DTYPE,
    ("_codecs", "encode"): _Global.ENCODE,
}


class _Dtype:
    """A dtype in the making: a code, to which the state adds the byte order."""

    def __init__(self, code: str) -> None:
        if code not in _NUMBER_CODES:
            raise _RefusedError(f"an array of dtype {code!r:.40}")
        self.code = code
        self.dtype = np.dtype(code)

    def set_state(self, state: object) -> None:
        match state:
            case (int(), (str() | bytes()) as order, None, None, None, *_) if _text(order) in _BYTE_ORDERS:
                self.dtype = np.dtype(_text(order) + self.code)
            case _:
                raise _RefusedError("an array of a compound dtype")


class _Array:
    """An array in the making: empty, until its state brings shape, dtype and bytes."""

    def __init__(self) -> None:
        self.array: np.ndarray | None = None

    def set_state(self, state: object) -> None:
        match state:
            case (int(), tuple() as shape, _Dtype(dtype=dtype), fortran, bytes() | memoryview() as content):
                if not all(type(length) is int and length >= 0 for length in shape):
                    raise _MalformedError("an array's shape is not made of whole numbers")
                self.array = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
            case _:
                raise _MalformedError("an array's state is not one that numpy writes")


def _run(data: memoryview) -> object:
    """Follow the instructions of protocols 2 to 4, up to and including STOP."""
    position = 0
    stack: list[Any] = []
    below_marks: list[list[Any]] = []
    memo: dict[int, Any] = {}
    decoded = 0

    def take(count: int) -> memoryview:
        nonlocal position
        start, position = position, position + count
        if position > len(data):
            raise _MalformedError("it ends in the middle")
        return data[start:position]

    def number(width: int, signed: bool = False) -> int:
        return int.from_bytes(take(width), "little", signed=signed)

    def byte_string(width: int) -> bytes | memoryview:
        content = take(number(width))
        return content if len(content) >= _VIEWED_FROM else bytes(content)

    def line() -> str:
        characters = bytearray()
        while (character := number(1)) != ord("\n"):
            characters.append(character)
            if len(characters) > _LONGEST_LINE:
                raise _MalformedError("a global's name is too long")
        return characters.decode()

    def text(width: int) -> str:
        content = take(number(width))
        # One letter beyond Latin 1, which no array's bytes have, would make the whole text two or four times as large.
        if len(content) >= _VIEWED_FROM and np.frombuffer(content, np.uint8).max() > _LAST_LEAD_OF_LATIN1:
            raise _MalformedError("a long text is not an array's bytes")
        return str(content, "utf-8")

    for _ in range(_MOST_INSTRUCTIONS):
        match bytes(take(1)):
            case pickle.LONG_BINPUT:
                memo[number(4)] = stack[-1]
            case pickle.BININT1:
                stack.append(number(1))
            case pickle.SHORT_BINSTRING | pickle.SHORT_BINBYTES:
                stack.append(byte_string(1))
            case pickle.BINSTRING | pickle.BINBYTES:
                stack.append(byte_string(4))
            case pickle.BINBYTES8:
                stack.append(byte_string(8))
            case pickle.BINUNICODE:
                stack.append(text(4))
            case pickle.SHORT_BINUNICODE:
                stack.append(text(1))
            case pickle.BINUNICODE8:
                stack.append(text(8))
            case pickle.BINGET:
                stack.append(memo[number(1)])
            case pickle.LONG_BINGET:
                stack.append(memo[number(4)])
            case pickle.BINPUT:
                memo[number(1)] = stack[-1]
            case pickle.MEMOIZE:
                memo[len(memo)] = stack[-1]
            case pickle.TUPLE1:
                stack[-1:] = [(stack[-1],)]
            case pickle.TUPLE2:
                stack[-2:] = [(stack[-2], stack[-1])]
            case pickle.TUPLE3:
                stack[-3:] = [(stack[-3], stack[-2], stack[-1])]
            case pickle.REDUCE:
                arguments = stack.pop()
                stack[-1] = result = _call(stack[-1], arguments)
                decoded += len(result) if isinstance(result, bytes) else 0
                if decoded > len(data):
                    raise _MalformedError("it decodes to more bytes than it has")
            case pickle.BININT2:
                stack.append(number(2))
            case pickle.BININT:
                stack.append(number(4, signed=True))
            case pickle.LONG1:
                stack.append(number(number(1), signed=True))
            case pickle.BINFLOAT:
                stack.append(struct.unpack(">d", take(8))[0])
            case pickle.NONE:
                stack.append(None)
            case pickle.NEWTRUE:
                stack.append(True)
            case pickle.NEWFALSE:
                stack.append(False)
            case pickle.EMPTY_DICT:
                stack.append({})
            case pickle.EMPTY_LIST:
                stack.append([])
            case pickle.EMPTY_TUPLE:
                stack.append(())
            case pickle.MARK:
                below_marks.append(stack)
                stack = []
            case pickle.TUPLE:
                items, stack = stack, below_marks.pop()
                stack.append(tuple(items))
            case pickle.APPENDS:
                items, stack = stack, below_marks.pop()
                stack[-1].extend(items)
            case pickle.APPEND:
                item = stack.pop()
                stack[-1].append(item)
            case pickle.SETITEMS:
                items, stack = stack, below_marks.pop()
                _set_items(stack[-1], items)
            case pickle.SETITEM:
                value, key = stack.pop(), stack.pop()
                _set_items(stack[-1], [key, value])
            case pickle.GLOBAL:
                stack.append(_find_global(line(), line()))
            case pickle.STACK_GLOBAL:
                name = stack.pop()
                stack[-1] = _find_global(stack[-1], name)
            case pickle.BUILD:
                state = stack.pop()
                stack[-1].set_state(state)
            case pickle.PROTO:
                number(1)
            case pickle.FRAME:
                number(8)
            case pickle.STOP:
                if position != len(data):
                    raise _MalformedError(f"{len(data) - position} bytes follow its end")
                return stack.pop()
            case instruction:
                raise _MalformedError(f"byte {position - 1}, {instruction!r}, is no instruction that writes data")
    raise _MalformedError(f"it has more than {_MOST_INSTRUCTIONS:,} instructions")


def _set_items(mapping: object, items: list[Any]) -> None:
    if not isinstance(mapping, dict):
        raise _MalformedError("items are set in something that is no dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str | bytes):
            raise _MalformedError(f"a dict has a key of type {type(key).__name__}")
        mapping[key] = value


def _find_global(module: object, name: object) -> _Global:
    if not (isinstance(module, str) and isinstance(name, str)):
        raise _MalformedError("a global's name is no string")
    if (module, name) not in _GLOBALS:
        raise _RefusedError(f"the global {module + '.' + name!r:.100}")
    return _GLOBALS[module, name]


def _call(function: object, arguments: object) -> object:
    match function, arguments:
        case _Global.ENCODE, (str() as text, "latin1"):
            return text.encode("latin1")
        case _Global.RECONSTRUCT, (_Global.NDARRAY, (0,), b"b" | "b"):
            return _Array()
        case _Global.DTYPE, (str() | bytes() as code, int(), int()):
            return _Dtype(_text(code))
    raise _MalformedError("it calls something in a way that numpy does not")


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _finished(value: object) -> object:
    if not isinstance(value, _Array):
        return value
    if value.array is None:
        raise _MalformedError("an array has no content")
    return value.array
