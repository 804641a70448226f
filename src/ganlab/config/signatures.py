"""Docstring and constructor of a component, read from its source: nothing is imported or executed.

Importing torch takes seconds, and a plug-in may not import at all; `ganlab list`, `show`, the help
pages and shell completion must work all the same. `ganlab.config.schema` reads the same off live objects,
and is what training believes.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
from dataclasses import dataclass, replace
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from ganlab.config import docstrings
from ganlab.config.schema import REQUIRED, Option, plain

_FOLLOWED = 8  # imports and base classes in a row
_WITHOUT_ARGUMENTS = {"object", "Module", "ABC", "Protocol", "Generic", "Dataset"}  # bases whose __init__ takes none


class Expression(str):
    """The source text of a default that cannot be told without running code."""


@dataclass(frozen=True)
class Signature:
    """What the source of a component says.

    Args:
        doc: The docstring, without indentation.
        options: Constructor parameters, with annotations as source text; None: the source does not tell.
    """

    doc: str = ""
    options: tuple[Option, ...] | None = None

    @property
    def summary(self) -> str:
        """The first sentence of the docstring, on one line."""
        return docstrings.summary(self.doc)

    @property
    def arguments(self) -> dict[str, str]:
        """What the docstring's ``Args`` section says of each parameter."""
        return docstrings.arguments(self.doc)

    @property
    def body(self) -> str:
        """The docstring without its ``Args`` section."""
        return "\n\n".join(filter(None, docstrings.around(self.doc)))


@dataclass(frozen=True)
class _Module:
    name: str
    is_package: bool
    names: dict[str, ast.stmt]


def read(module: str, attribute: str) -> Signature:
    """What the source says of ``module:attribute``; an empty `Signature` if there is none to read."""
    found = _find(module, attribute)
    if found is None:
        return Signature()
    where, node = found
    if isinstance(node, ast.ClassDef):
        fields = _constructor(where, node)
        return Signature(_doc(where, node), None if fields is None else tuple(fields.values()))
    return Signature(ast.get_docstring(node) or "", tuple(_parameters(where, node).values()))


def constant(module: str, name: str) -> Any:
    """A literal at the top level of a module; None if there is none."""
    found = _module(module)
    value = getattr(found.names.get(name), "value", None) if found else None
    try:
        return ast.literal_eval(value) if value is not None else None
    except ValueError:
        return None


def source_file(module: str) -> Path | None:
    """The file of a module, for a package its ``__init__.py``; no package is imported to find it."""
    top, *rest = module.split(".")
    spec = _spec(top)
    if spec is None:
        return None
    if not rest and spec.origin and spec.origin.endswith(".py"):
        return Path(spec.origin)
    for folder in spec.submodule_search_locations or ():
        path = Path(folder).joinpath(*rest)
        for file in (path.with_name(path.name + ".py"), path / "__init__.py"):
            if rest and file.is_file():
                return file
    return None


def package_folder(package: str) -> Path | None:
    """The folder of a package or of a folder of data files in one; None if there is none."""
    top, *rest = package.split(".")
    spec = _spec(top)
    folders = [Path(f).joinpath(*rest) for f in (spec.submodule_search_locations or ())] if spec else []
    return next((f for f in folders if f.is_dir()), None)


def _spec(package: str) -> ModuleSpec | None:
    """Where a package without a dot in its name lies; None if it is not installed."""
    try:
        return importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None


@cache
def _module(name: str) -> _Module | None:
    file = source_file(name)
    if file is None:
        return None
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    names: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            names.update({alias.asname or alias.name: node for alias in node.names})
        elif isinstance(node, ast.Assign):
            names.update({target.id: node for target in node.targets if isinstance(target, ast.Name)})
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names[node.target.id] = node
    return _Module(name, file.name == "__init__.py", names)


def _find(module: str, attribute: str, steps: int = _FOLLOWED) -> tuple[_Module, ast.ClassDef | ast.FunctionDef] | None:
    """Where a class or function is defined, through imports and aliases."""
    where = _module(module)
    node = where.names.get(attribute) if where else None
    if where is None or node is None or steps == 0:
        return None
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return where, node
    if isinstance(node, ast.ImportFrom):
        original = next(a.name for a in node.names if (a.asname or a.name) == attribute)
        return _find(_absolute(where, node), original, steps - 1)
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
        return _find(module, node.value.id, steps - 1)
    return None


def _absolute(where: _Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = where.name.split(".")
    package = package[: len(package) - node.level + where.is_package]
    return ".".join([*package, *([node.module] if node.module else [])])


def _doc(where: _Module, node: ast.ClassDef, steps: int = _FOLLOWED) -> str:
    """The docstring of a class, or of the base class that it inherits it from."""
    doc = ast.get_docstring(node)
    if doc or steps == 0:
        return doc or ""
    docs = (_doc(*found, steps - 1) for base in node.bases if (found := _base(where, base)))
    return next((d for d in docs if d), "")


def _constructor(where: _Module, node: ast.ClassDef, steps: int = _FOLLOWED) -> dict[str, Option] | None:
    """The constructor's parameters; None if a base class that is out of sight has it."""
    init = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if init is not None:
        return _parameters(where, init, skip=1)
    inherited: dict[str, Option] | None = {}
    for base in node.bases:
        found = _base(where, base)
        if found is not None and steps:
            inherited = _constructor(*found, steps - 1)
            if inherited:
                break
        elif ast.unparse(base).split("[")[0].rpartition(".")[2] not in _WITHOUT_ARGUMENTS:
            inherited = None
            break
    if inherited is None or not any(_is_dataclass(d) for d in node.decorator_list):
        return inherited
    return {**inherited, **_fields(where, node)}


def _base(where: _Module, base: ast.expr) -> tuple[_Module, ast.ClassDef] | None:
    """A base class of the same distribution or of ganlab."""
    if not isinstance(base, ast.Name):
        return None
    node = where.names.get(base.id)
    if isinstance(node, ast.ImportFrom):
        top = _absolute(where, node).split(".")[0]
        if top not in ("ganlab", where.name.split(".")[0]):
            return None
    found = _find(where.name, base.id)
    return (found[0], found[1]) if found is not None and isinstance(found[1], ast.ClassDef) else None


def _is_dataclass(decorator: ast.expr) -> bool:
    name = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(name).rpartition(".")[2] == "dataclass"


def _fields(where: _Module, node: ast.ClassDef) -> dict[str, Option]:
    fields = {}
    for item in node.body:
        if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name):
            continue
        annotation = ast.unparse(item.annotation).strip("'\"")
        if annotation.rpartition(".")[2].startswith("ClassVar") or "ClassVar[" in annotation:
            continue
        value: ast.expr | None = item.value
        default: Any = REQUIRED if value is None else _value(where, value)
        if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] == "field":
            given = {keyword.arg: keyword.value for keyword in value.keywords}
            if "init" in given and _value(where, given["init"]) is False:
                continue
            default = _value(where, given["default"]) if "default" in given else REQUIRED
            if "default_factory" in given:
                made: dict[str, Any] = {"list": [], "tuple": [], "dict": {}}
                factory = ast.unparse(given["default_factory"])
                default = made.get(factory, Expression(f"{factory}()"))
        fields[item.target.id] = Option(item.target.id, annotation, default)
    return fields


def _parameters(where: _Module, function: ast.FunctionDef, skip: int = 0) -> dict[str, Option]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = list(zip(positional, defaults, strict=True))[skip:]
    pairs += list(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
    found = {}
    for argument, default in pairs:
        annotation = ast.unparse(argument.annotation).strip("'\"") if argument.annotation else ""
        found[argument.arg] = Option(argument.arg, annotation, REQUIRED if default is None else _value(where, default))
    return found


def _value(where: _Module, node: ast.expr, steps: int = _FOLLOWED) -> Any:
    """A default as YAML holds it, or its source text."""
    try:
        return plain(ast.literal_eval(node))
    except (ValueError, TypeError):
        pass
    if isinstance(node, ast.Name) and steps:
        named: ast.stmt | None = where.names.get(node.id)
        home: _Module | None = where
        if isinstance(named, ast.ImportFrom):
            original = next(a.name for a in named.names if (a.asname or a.name) == node.id)
            home = _module(_absolute(where, named))
            named = home.names.get(original) if home else None
        if home is not None and isinstance(named, (ast.Assign, ast.AnnAssign)) and named.value is not None:
            return _value(home, named.value, steps - 1)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):  # a member of an Enum
        found = _find(where.name, node.value.id)
        members = [item for item in found[1].body if isinstance(item, ast.Assign)] if found else []
        for member in members:
            if found and any(isinstance(t, ast.Name) and t.id == node.attr for t in member.targets):
                return _value(found[0], member.value, 0)
    return Expression(ast.unparse(node))


def live(component: Any, options: dict[str, Option]) -> Signature:
    """The same of an imported component, for those that have no source."""
    written = {
        name: replace(o, annotation="" if o.annotation is Any else inspect.formatannotation(o.annotation))
        for name, o in options.items()
    }
    return Signature(inspect.getdoc(component) or "", tuple(written.values()))
