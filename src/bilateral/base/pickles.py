"""Pickles read as data alone.

A pickle is a program, and pickle's own machine imports and calls whatever it names. This one follows only the
instructions that write data, and imports nothing; what a call stands for, a subclass says.
"""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

_FOLLOWED = [
    *(pickle.PROTO, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT),
    *(pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.BINBYTES, pickle.SHORT_BINBYTES),
    *(pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.GLOBAL, pickle.STACK_GLOBAL),
    *(pickle.TUPLE, pickle.EMPTY_TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT),
    *(pickle.BINGET, pickle.LONG_BINGET, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE),
]


VIEWED_FROM = 2**16
"""Bytes of a string as long as an array's."""
_LONGEST_LINE = 200  # characters of a global's name


class ForeignObjectError(Exception):
    """A pickle holds an object that is no data; its text says which."""


@dataclass(frozen=True)
class Global:
    """What a pickle names, a class or a function, which is not imported. name: with its module."""

    name: str


# The one in Python: what its C twin keeps for later is as large as the largest number that a pickle names.
class DataPickle(pickle._Unpickler, ABC):
    """Reads pickles of protocols 2 to 4, one after the other.

    data: of a memoryview, long strings of bytes stay views. position: of the next pickle. `load` raises
    ForeignObjectError, and nearly any error for what is no pickle.
    """

    strings = "utf-8"
    """The encoding of Python 2's; "bytes" leaves them as they are."""
    mappings: ClassVar[Any] = (dict,)
    """Types of what items are set in."""
    keys: ClassVar[tuple[type, ...]] = (str, bytes)
    """Types of their keys; others (tuples above all) take a time or depth of recursion to hash that a file chooses."""
    most_instructions = 2**21
    """Each may make an object, much larger than itself."""
    dispatch: ClassVar[dict[int, Any]] = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in _FOLLOWED}

    pop_mark: Callable[[], list[Any]]

    def __init__(self, data: bytes | memoryview) -> None:
        super().__init__(self, encoding=self.strings)
        self.data: Any = data
        self.position = 0

    @abstractmethod
    def call(self, function: Any, arguments: Any) -> Any:
        """Give what stands for the result of a call of a `Global`."""

    @abstractmethod
    def build(self, made: Any, state: Any) -> None:
        """Take the state of what a call has made."""

    def load(self) -> Any:
        """Follow the instructions to the end of the next pickle. Frames, which repeat its length, are passed over."""
        self.memo: dict[int, Any] = {}
        self.metastack: list[list[Any]] = []
        self.stack: list[Any] = []
        self.append = self.stack.append
        data, dispatch = self.data, self.dispatch
        for _ in range(self.most_instructions):
            if self.position == len(data):
                raise pickle.UnpicklingError("it ends in the middle")
            code = data[self.position]
            self.position += 1
            if code == pickle.STOP[0]:
                return self.stack.pop()
            if code not in dispatch:
                at, instruction = self.position - 1, bytes([code])
                raise pickle.UnpicklingError(f"byte {at}, {instruction!r}, is no instruction that writes data")
            dispatch[code](self)
        raise pickle.UnpicklingError(f"it has more than {self.most_instructions:,} instructions")

    def read(self, count: int) -> Any:
        """Give the next bytes."""
        start = self.position
        self.position = end = start + count
        if end > len(self.data):
            raise pickle.UnpicklingError("it ends in the middle")
        content = self.data[start:end]
        return content if count >= VIEWED_FROM else bytes(content)

    def readline(self) -> bytes:
        """Give the bytes up to the end of a line. Raises UnpicklingError for a longer one than any name."""
        start = bytes(self.data[self.position : self.position + _LONGEST_LINE + 1])
        line, end, _ = start.partition(b"\n")
        if not end and len(start) > _LONGEST_LINE:
            raise pickle.UnpicklingError("a global's name is too long")
        return bytes(self.read(len(line) + 1))

    def find_class(self, module: str, name: str) -> Global:
        """Give what stands for a class or a function. Subclasses raise ForeignObjectError where none may be named."""
        return Global(f"{module}.{name}")

    def set_items(self, items: list[Any]) -> None:
        """Set keys and values, which take turns, in what lies on top of the stack."""
        if not isinstance(self.stack[-1], self.mappings):
            raise pickle.UnpicklingError("items are set in something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, self.keys):
                raise pickle.UnpicklingError(f"a dict has a key of type {type(key).__name__}")
            self.stack[-1][key] = value

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.append(self.call(function, arguments))

    def _build(self) -> None:
        state = self.stack.pop()
        self.build(self.stack[-1], state)

    dispatch |= {
        pickle.FRAME[0]: lambda self: self.read(8),
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: lambda self: self.set_items(self.pop_mark()),
        pickle.REDUCE[0]: _reduce,
        pickle.BUILD[0]: _build,
    }
