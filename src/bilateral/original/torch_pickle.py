"""The pickles in files of torch.save, read as data: what they say of tensors, beside plain values."""

import math
import pickle
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..base.pickles import DataPickle, ForeignObjectError, Global


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


class Unread:
    """Something of torch's, or a container, that is of no use here."""

    def _forget(self, *items: Any) -> None:
        """Take what is put into it, and keep nothing."""

    append = extend = __setitem__ = _forget


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
_OLDER = [
    *(pickle.INT, pickle.LONG, pickle.FLOAT, pickle.STRING, pickle.UNICODE, pickle.LIST, pickle.POP),
    *(pickle.GET, pickle.PUT, pickle.BINPERSID),
]


class TensorPickle(DataPickle):
    """Reads pickles: plain values, `StoredTensor` for tensors, `Unread` for the rest.

    storages: those that it names, by key. `load` raises ForeignObjectError, and nearly any error for what is no pickle.
    """

    mappings = (dict, Unread)
    keys = (str, bytes, int, float, type(None))
    most_instructions = 2**23

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.storages: dict[str, Storage] = {}

    def readline(self) -> bytes:
        """Give the bytes up to the end of a line."""
        return self.read(self.data.index(b"\n", self.position) + 1 - self.position)

    def find_class(self, module: str, name: str) -> Global:
        """Give the name of what an object is made by, if it is one that checkpoints may hold."""
        full = f"{module}.{name}"
        if full not in _CONTAINERS and not full.startswith("torch."):
            raise ForeignObjectError(full)
        return Global(full)

    def persistent_load(self, place: Any) -> Storage:
        """Give the storage that a tensor's pickle names."""
        match place:
            case ("storage", Global(kind), str(key), str(), int(count), *views):
                dtype, itemsize = _STORAGES.get(kind, (None, 0))
                storage = Storage(key, None if any(views) else dtype, itemsize, count)
                if self.storages.setdefault(key, storage) != storage:
                    raise pickle.UnpicklingError("a storage is of two kinds")
                return storage
        raise pickle.UnpicklingError("it names something that is no storage")

    def call(self, function: Any, arguments: Any) -> Any:
        """Give what a call of torch's functions makes."""
        match function, arguments:
            case Global("collections.OrderedDict"), ():
                return {}
            case Global("torch._utils._rebuild_tensor_v2"), (Storage() as storage, offset, shape, stride, _, _, *rest):
                if any(rest):  # a view that is conjugate or negative
                    return Unread()
                return StoredTensor(storage, _whole((offset,))[0], _whole(shape), _whole(stride))
            case (
                Global("torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state"),
                (StoredTensor() as data, *_),
            ):
                return data
            case Global(), tuple():
                return Unread()
        raise pickle.UnpicklingError("it calls something that is no function")

    def build(self, made: Any, state: Any) -> None:
        """Pass over what an object has beside its items: nothing of use."""

    def _dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self.set_items(items)

    dispatch: ClassVar[dict[int, Any]] = (
        DataPickle.dispatch
        | {code[0]: pickle._Unpickler.dispatch[code[0]] for code in _OLDER}
        | {pickle.NEWOBJ[0]: DataPickle.dispatch[pickle.REDUCE[0]], pickle.DICT[0]: _dict}
    )


def _whole(numbers: Any) -> tuple[int, ...]:
    if not isinstance(numbers, tuple) or not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
        raise pickle.UnpicklingError("a tensor's shape is not of whole numbers")
    return numbers
