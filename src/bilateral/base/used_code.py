"""The code that something uses: the definitions that it reaches by the names in their syntax, and a digest of them.

A function, class or constant at the top of a module counts where code that counts mentions it. All other statements
there (`torch.backends.cudnn.benchmark = True`) count as soon as the module is imported. Names are followed inside this
package, inside the packages of the roots, and into every module that is not installed as a library: the user's own. Of
a library only the names count.

Comments, docstrings and layout do not count. Nor do annotations, but those of a class's fields; all are followed, since
they name the classes whose methods are called. A registry, a dict from names to `package.module:Object`, does not
count: which of these objects is used, its caller says by a root.
"""

import hashlib
import sys
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from typing import Any, NamedTuple

from .errors import ConfigError
from .module_syntax import ALL, EFFECTS, Mention, ModuleSyntax

_PACKAGE = __name__.partition(".")[0]
_LIBRARY_FOLDERS = {"site-packages", "dist-packages"}


class Place(NamedTuple):
    """Where a definition stands: its module, and its name there; EFFECTS or ALL for more than a definition."""

    module: str
    name: str


def code_digest(roots: Iterable[type | str], apart: Collection[str] = ()) -> str:
    """Digest the code that the roots use: the same on every machine and in every version of Python.

    roots, apart: as in `used_code`, which also says what is raised.

    >>> len(code_digest(["bilateral.base.streams:derive_seed"]))
    64
    """
    lines = [f"{place.module}:{place.name} {text}\n" for place, text in sorted(used_code(roots, apart).items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def own_digest(name: str) -> str | None:
    """Digest what own code, `package.module:Object`, uses beside this package; None where its source is not at hand."""
    try:
        return code_digest([name], [_PACKAGE])
    except ConfigError:
        return None


def used_code(roots: Iterable[type | str], apart: Collection[str] = ()) -> dict[Place, str]:
    """Give the definitions that the roots use, themselves included, each with what of it counts.

    roots: classes, or `package.module:Object`. apart: modules and packages that do not count, nor what only they use.
    Raises ConfigError for a root whose source cannot be read.
    """
    names = [root if isinstance(root, str) else f"{root.__module__}:{root.__qualname__}" for root in roots]
    split = [(module, path.split(".")[0]) for module, _, path in (name.partition(":") for name in names)]
    walk = _Walk({module.partition(".")[0] for module, _ in split}, apart)
    found: dict[Place, str] = {}
    pending: set[Place] = set()
    for name, (module, first) in zip(names, split):
        if walk.follows(module) and _read(module) is None:
            raise ConfigError(f"{name!r} has no source file, so its changes would not show: put it into a file")
        pending |= walk.find(module, (first,))
    while pending:
        place = pending.pop()
        if place not in found and walk.follows(place.module):
            found[place], used = walk.read(place)
            pending |= used
    return {place: text for place, text in found.items() if text}


class _Walk:
    """Follows names from module to module. packages: those that are followed wherever they lie."""

    def __init__(self, packages: Collection[str], apart: Collection[str]) -> None:
        self.packages = {_PACKAGE, *packages} - {"torch", *sys.stdlib_module_names}
        self.apart = tuple(f"{each}." for each in apart)

    def follows(self, module: str) -> bool:
        top = module.partition(".")[0]
        return not self._is_apart(module) and (top in self.packages or not _is_library(top))

    def _is_apart(self, module: str) -> bool:
        return f"{module}.".startswith(self.apart)

    def read(self, place: Place) -> tuple[str, set[Place]]:
        """Give what of a definition counts, with what the names in it stand for, and the places that it uses."""
        syntax = _read(place.module)
        if not isinstance(syntax, ModuleSyntax):
            return hashlib.sha256(syntax or b"").hexdigest(), set()
        if place.name == ALL:
            every = set().union(*(self.find(place.module, (name,)) for name in (*syntax.bound, *syntax.imported)))
            return "", {found for found in every if found.name != ALL}
        text, mentions, followed = syntax.definition(place.name)
        used = {Place(place.module, EFFECTS)}
        for mention in sorted(mentions):
            targets = self.find(*mention)
            text += "".join(f"\n{'.'.join(mention[1])}={target.module}:{target.name}" for target in sorted(targets))
            used |= targets
        if place.name == EFFECTS:
            followed = followed | syntax.loaded
            for name, decorator in syntax.decorated():  # code of one's own may register what it decorates
                if any(self.follows(target.module) for target in self.find(*decorator)):
                    used.add(Place(place.module, name))
        return text, used.union(*(self.find(*mention) for mention in followed))

    def find(self, module: str, names: tuple[str, ...], seen: Collection[Mention] = ()) -> set[Place]:
        """The places that a dotted name stands for in a module; more than one where it is bound more than once.

        seen: the imports that led here, since some go in a circle.
        """
        if not self.follows(module):
            return set() if self._is_apart(module) else {Place(module, names[0])}
        syntax = _read(module)
        if syntax is None:
            return set()
        first, rest = names[0], names[1:]
        if not isinstance(syntax, ModuleSyntax) or first == ALL:
            return {Place(module, ALL)}
        seen = (*seen, (module, (first,)))
        found = {Place(module, first)} if first in syntax.bound else set()
        targets = [target for target in syntax.imported.get(first, []) if target not in seen]
        for other, original in targets:
            found |= self.find(other, (*original, *rest) or (ALL,), seen)
        if found or targets:
            return found
        if _read(f"{module}.{first}") is not None:
            return self.find(f"{module}.{first}", rest or (ALL,), seen)
        return {Place(module, ALL)}  # it may be anything that the syntax does not show


@cache
def _is_library(package: str) -> bool:
    spec = None if package in sys.stdlib_module_names else _spec(package)
    if spec is None:
        return True
    folders = spec.submodule_search_locations or [spec.origin or ""]
    return any(not _LIBRARY_FOLDERS.isdisjoint(Path(folder).parts) for folder in folders)


@cache
def _read(module: str) -> ModuleSyntax | bytes | None:
    """A module's syntax; its bytes where it has none, as a compiled one; None where there is no such module."""
    source, is_package = _source(module)
    if not isinstance(source, str):
        return source
    try:
        return ModuleSyntax(module, source, is_package)
    except SyntaxError:
        return source.encode()


def _source(module: str) -> tuple[str | bytes | None, bool]:
    """The source of a module, or the bytes of its file where it has none; and whether it is a package."""
    spec, source = _spec(module), None
    loader: Any = spec and spec.loader
    if spec is None or loader is None:
        return None, False
    with suppress(ImportError, AttributeError):
        source = loader.get_source(spec.name)
    if source is None:
        with suppress(OSError, AttributeError):
            source = loader.get_data(spec.origin)
    return source, spec.submodule_search_locations is not None


def _spec(module: str) -> ModuleSpec | None:
    """Find a module without importing one."""
    if module in sys.modules:
        loaded = sys.modules[module]
        file = getattr(loaded, "__file__", None)  # all that a script has
        return getattr(loaded, "__spec__", None) or (spec_from_file_location(module, file) if file else None)
    package = module.rpartition(".")[0]
    if not package:
        return find_spec(module)
    found = _spec(package)
    folders = found and found.submodule_search_locations
    return PathFinder.find_spec(module, folders) if folders else None
