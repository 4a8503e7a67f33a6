"""The pickles in files of torch.save, read as data: what they say of tensors, beside plain values.

A pickle is a program. This reader does the few of its instructions that write data; the functions that torch's pickles
call are known by their names, and none is called.
"""

import io
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch


class ForeignObjectError(Exception):
    """A pickle holds an object that is no data; its text is the name of the object's class or function."""


@dataclass(frozen=True)
class Storage:
    """A run of `count` numbers in a file. dtype: None for kinds that networks do not have; itemsize: in bytes."""

    key: str
    dtype: torch.dtype | None
    itemsize: int
    count: int


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies: its storage, and in elements the place in that, the shape and the strides."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def numel(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Unread:
    """Something of torch's, or a container, that is of no use here. name: what makes it."""

    name: str


_STORAGES: dict[str, tuple[torch.dtype | None, int]] = {
    "torch.FloatStorage": (torch.float32, 4),
    "torch.DoubleStorage": (torch.float64, 8),
    "torch.HalfStorage": (torch.float16, 2),
    "torch.BFloat16Storage": (torch.bfloat16, 2),
    "torch.LongStorage": (torch.int64, 8),
    "torch.IntStorage": (None, 4),
    "torch.ShortStorage": (None, 2),
    "torch.CharStorage": (None, 1),
    "torch.ByteStorage": (None, 1),
    "torch.BoolStorage": (None, 1),
    "torch.ComplexFloatStorage": (None, 8),
    "torch.ComplexDoubleStorage": (None, 16),
}
_CONTAINERS = {"collections.OrderedDict", "collections.defaultdict", "collections.Counter", "_codecs.encode"}
_CONTAINERS |= {
    f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "bytearray", "complex")
}
_PLAIN = [
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE),
    *(pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG, pickle.LONG1),
    *(pickle.FLOAT, pickle.BINFLOAT, pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING),
    *(pickle.UNICODE, pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.BINBYTES, pickle.SHORT_BINBYTES),
    *(pickle.TUPLE, pickle.EMPTY_TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.EMPTY_LIST, pickle.LIST, pickle.EMPTY_DICT, pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.BINPERSID),
    *(pickle.GET, pickle.BINGET, pickle.LONG_BINGET, pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE),
]
# Others (tuples above all) take a time or a depth of recursion to hash that a file could choose.
_KEYS = (str, bytes, int, float, type(None))


# The one in Python: what its C twin keeps for later is as large as the largest number that a pickle names.
class TensorPickle(pickle._Unpickler):
    """Reads one pickle from a stream: plain values, `StoredTensor` for tensors, `Unread` for the rest.

    storages: those that it names, by key. `load` raises ForeignObjectError, and nearly any error for what is no pickle.
    """

    dispatch: ClassVar[dict[int, Any]] = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in _PLAIN}

    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, encoding="utf-8")
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Unread:
        """Give the name of what an object is made by, if it is one that checkpoints may hold."""
        full = f"{module}.{name}"
        if full not in _CONTAINERS and not full.startswith("torch."):
            raise ForeignObjectError(full)
        return Unread(full)

    def persistent_load(self, place: Any) -> Storage | Unread:
        """Give the storage that a tensor's pickle names."""
        match place:
            case ("storage", Unread(kind), str(key), str(), int(count), *views):
                dtype, itemsize = _STORAGES.get(kind, (None, 0))
                storage = Storage(key, None if any(views) else dtype, itemsize, count)
                if self.storages.setdefault(key, storage) != storage:
                    raise pickle.UnpicklingError("a storage is of two kinds")
                return storage
        raise pickle.UnpicklingError("it names something that is no storage")

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.append(_made(function, arguments))

    def _build(self) -> None:
        self.stack.pop()  # what an object has beside its items: nothing of use

    def _items(self) -> None:
        items = self.pop_mark()
        _set_items(self.stack[-1], items)

    def _item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _set_items(self.stack[-1], [key, value])

    def _dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        _set_items(self.stack[-1], items)

    def _extend(self) -> None:
        items = self.pop_mark()
        _extend_list(self.stack[-1], items)

    def _append(self) -> None:
        item = self.stack.pop()
        _extend_list(self.stack[-1], [item])

    dispatch |= {
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _reduce,
        pickle.BUILD[0]: _build,
        pickle.SETITEMS[0]: _items,
        pickle.SETITEM[0]: _item,
        pickle.DICT[0]: _dict,
        pickle.APPENDS[0]: _extend,
        pickle.APPEND[0]: _append,
    }


def _made(function: Any, arguments: Any) -> Any:
    match function, arguments:
        case Unread("collections.OrderedDict"), ():
            return {}
        case Unread("torch._utils._rebuild_tensor_v2"), (Storage() as storage, offset, shape, stride, _, _, *metadata):
            if any(metadata):  # a view that is conjugate or negative
                return Unread(function.name)
            return StoredTensor(storage, _whole((offset,))[0], _whole(shape), _whole(stride))
        case (
            Unread("torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state"),
            (StoredTensor() as data, *_),
        ):
            return data
        case Unread(), tuple():
            return Unread(function.name)
    raise pickle.UnpicklingError("it calls something that is no function")


def _whole(numbers: Any) -> tuple[int, ...]:
    if not isinstance(numbers, tuple) or not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
        raise pickle.UnpicklingError("a tensor's shape is not of whole numbers")
    return numbers


def _set_items(mapping: Any, items: list[Any]) -> None:
    if not isinstance(mapping, dict | Unread):
        raise pickle.UnpicklingError("items are set in something that is no dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, _KEYS):
            raise pickle.UnpicklingError("a dict has a key that is no text and no number")
        if isinstance(mapping, dict):
            mapping[key] = value


def _extend_list(given: Any, items: list[Any]) -> None:
    if isinstance(given, list):
        given.extend(items)
    elif not isinstance(given, Unread):
        raise pickle.UnpicklingError("items are put into something that is no list")
