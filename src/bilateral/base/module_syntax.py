"""What the syntax of one module says: what the statements at its top bind, and what each of them mentions."""

import ast
import re
import symtable
from collections.abc import Iterator
from typing import NamedTuple

EFFECTS, ALL = "", "*"
"""In place of a name: the statements that do more than bind names; the whole module."""

Mention = tuple[str, tuple[str, ...]]
"""A module, and a dotted name that is looked up in it: ("bilateral.training.loop", ("math", "pi"))."""


class Definition(NamedTuple):
    """Statements: their text without what does not count, what it mentions, and what is followed beside that.

    followed: what annotations mention, and the modules that are imported.
    """

    text: str
    mentions: set[Mention]
    followed: set[Mention]


class ModuleSyntax:
    """The top of a module.

    bound: statements by the names that they bind, but not imports. imported: by the name that it has here. loaded: the
    modules that are imported whenever this one is.
    """

    def __init__(self, name: str, source: str, is_package: bool) -> None:
        package = name.rpartition(".")[0]
        self.name, self.package, self._source = name, name if is_package else package, source
        self.bound: dict[str, list[ast.stmt]] = {EFFECTS: []}
        self.imported: dict[str, list[Mention]] = {}
        self.loaded: set[Mention] = {(package, (EFFECTS,))} if package else set()
        self._definitions: dict[str, Definition] = {}
        self._global_names: dict[str, set[str]] = {}
        for statement in ast.parse(source).body:
            self._take(statement)

    def definition(self, name: str) -> Definition:
        """Read the statements that bind a name, or EFFECTS."""
        if name not in self._definitions:
            texts, mentions, followed = zip(*map(self._read, self.bound[name])) if self.bound[name] else ((), (), ())
            self._definitions[name] = Definition("\n".join(texts), set().union(*mentions), set().union(*followed))
        return self._definitions[name]

    def decorated(self) -> Iterator[tuple[str, Mention]]:
        """Give the names of all that is decorated, each with the decorator."""
        for name, statements in self.bound.items():
            for decorator in (each for statement in statements for each in getattr(statement, "decorator_list", ())):
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                yield from ((name, (self.name, chain)) for chain in _dotted_names(called))

    def _take(self, statement: ast.stmt) -> None:
        if isinstance(statement, _DEFINITIONS):
            names = {statement.name}
        else:
            nodes = list(ast.walk(statement))
            names = {node.name for node in nodes if isinstance(node, _DEFINITIONS)}
            names |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
            idle = _is_idle(statement)
            for name, target, loaded in self._imports(nodes):
                self.imported.setdefault(name, []).append(target)
                if not idle:
                    self.loaded |= loaded
            imports = isinstance(statement, ast.Import | ast.ImportFrom)
            if not (idle or imports or _is_text(statement) or _binds(statement)):
                self.bound[EFFECTS].append(statement)
        for name in names:
            self.bound.setdefault(name, []).append(statement)

    def _read(self, statement: ast.stmt) -> Definition:
        nodes, local, followed = list(ast.walk(statement)), dict[str, list[Mention]](), set[Mention]()
        for name, target, loaded in self._imports(nodes):
            local.setdefault(name, []).append(target)
            followed |= loaded
        seen = {*self._globals(statement), *local}
        annotations = _strip(nodes)

        def targets(chain: tuple[str, ...]) -> set[Mention]:
            here = [(self.name, chain[:1])] if chain[0] in self.bound or chain[0] in self.imported else []
            starts = local.get(chain[0], here)
            return {(module, (*names, *chain[1:]) or (ALL,)) for module, names in starts}

        mentions = {each for chain in _dotted_names(statement) if chain[0] in seen for each in targets(chain)}
        followed |= {each for node in annotations for chain in _dotted_names(node) for each in targets(chain)}
        return Definition("".join(_text(statement)), mentions, followed)

    def _globals(self, statement: ast.stmt) -> set[str]:
        """The names in a statement that may be the module's: those that are not local to its functions."""
        if not isinstance(statement, _DEFINITIONS):
            return {chain[0] for chain in _dotted_names(statement)}
        if not self._global_names:
            for scope in symtable.symtable(self._source, self.name, "exec").get_children():
                self._global_names.setdefault(scope.get_name(), set()).update(_globals(scope))
        header = [node for node in ast.iter_child_nodes(statement) if node not in statement.body]
        return {chain[0] for node in header for chain in _dotted_names(node)} | self._global_names[statement.name]

    def _imports(self, nodes: list[ast.AST]) -> Iterator[tuple[str, Mention, set[Mention]]]:
        """Each name that is imported, what it is, and the modules that this loads.

        () stands for a module itself, ALL for one that `*` is imported from.
        """
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    module = alias.name if alias.asname else alias.name.partition(".")[0]
                    yield alias.asname or module, (module, ()), {(alias.name, (EFFECTS,))}
            elif isinstance(node, ast.ImportFrom):
                start = [self.package.rsplit(".", node.level - 1)[0]] if node.level else []
                module = ".".join([*start, *([node.module] if node.module else [])])
                for alias in node.names:
                    inner = {(module, (ALL,))} if alias.name == ALL else {(f"{module}.{alias.name}", (EFFECTS,))}
                    yield alias.asname or alias.name, (module, (alias.name,)), {(module, (EFFECTS,)), *inner}


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_OWN_CODE = re.compile(r"\w*(\.\w+)+:\w+")


def _is_idle(statement: ast.stmt) -> bool:
    """Whether it does nothing when its module is imported: `if TYPE_CHECKING`, `if __name__ == "__main__"`."""
    tested = set(_dotted_names(statement.test)) if isinstance(statement, ast.If) and not statement.orelse else set()
    return any(chain[-1] in ("TYPE_CHECKING", "__name__") for chain in tested)


def _is_text(node: ast.AST) -> bool:
    """Whether it is a docstring, of a module, class, function or attribute."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _binds(statement: ast.stmt) -> bool:
    """Whether it assigns to names alone."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return False
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    names = (ast.Name, ast.Tuple, ast.List, ast.Starred, ast.expr_context)
    return all(isinstance(node, names) for target in targets for node in ast.walk(target))


def _globals(scope: symtable.SymbolTable) -> set[str]:
    """The global names of a scope and of those in it. What a class reads before it binds it is global too."""
    in_class = scope.get_type() == "class"
    names = {each.get_name() for each in scope.get_symbols() if each.is_global() or (in_class and each.is_referenced())}
    return names.union(*map(_globals, scope.get_children()))


def _dotted_names(node: ast.AST) -> Iterator[tuple[str, ...]]:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        yield (node.id, *reversed(names))
    for child in ast.iter_child_nodes(node):
        yield from _dotted_names(child)


def _strip(nodes: list[ast.AST]) -> list[ast.expr]:
    """Take docstrings, registries, and the annotations that do not count out of nodes; give these annotations."""
    annotations: list[ast.expr | None] = []
    bodies = [node.body for node in nodes if isinstance(node, ast.ClassDef)]
    fields = [each for body in bodies for each in body if isinstance(each, ast.AnnAssign)]
    for node in nodes:
        for name in ("annotation", "returns"):
            if hasattr(node, name) and node not in fields:
                annotations.append(getattr(node, name))
                setattr(node, name, None)
        if isinstance(body := getattr(node, "body", None), list):
            body[:] = [each for each in body if not _is_text(each)]
        if isinstance(node, ast.Dict) and node.values and all(map(_names_own_code, node.values)):
            node.keys, node.values = [], []
    return [each for each in annotations if each is not None]


def _names_own_code(node: ast.expr) -> bool:
    parts = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return isinstance(node, ast.Constant | ast.JoinedStr) and _OWN_CODE.fullmatch("".join(parts)) is not None


def _text(value: object) -> Iterator[str]:
    """A node as text, as `ast.dump` gives it, but alike in every version of Python: what is empty is left out."""
    if isinstance(value, ast.AnnAssign) and value.annotation is None and value.value is not None:
        value = ast.Assign([value.target], value.value)
    if isinstance(value, list):
        for each in value:
            yield from _text(each)
            yield ","
    elif isinstance(value, ast.AST):
        yield type(value).__name__ + "("
        for name in value._fields:
            child = getattr(value, name, None)
            if child is not None and child != [] and name not in ("ctx", "kind", "type_comment"):
                yield f" {name}="
                yield from _text(child)
        yield ")"
    else:
        yield repr(value)
