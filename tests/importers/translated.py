"""Sources of other codes as they are imported: of Python 2 too, and float32 is float64."""

from __future__ import annotations

import ast
import contextlib
import sys
import types
import warnings
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import Any


class Quotients(ast.NodeTransformer):
    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div):
            return node
        return ast.Call(ast.Name("__quotient__", ast.Load()), [node.left, node.right], [])


def quotient(a: Any, b: Any) -> Any:
    return a // b if isinstance(a, int) and isinstance(b, int) else a / b


def translated(text: str, path: str, quotients: bool = True) -> Any:
    """Return the syntax tree of a source.

    Args:
        quotients: A quotient of integers is one, as in Python 2; not so where a source imports division.
    """
    text = text.replace("float32", "float64")
    try:
        tree = ast.parse(text)
    except SyntaxError:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from lib2to3.refactor import RefactoringTool
        fixes = [f"lib2to3.fixes.fix_{name}" for name in ("print", "except", "has_key", "exec", "dict")]
        tree = ast.parse(str(RefactoringTool(fixes).refactor_string(text + "\n", path)))
    if quotients and "import division" not in text:
        tree = Quotients().visit(tree)
    return ast.fix_missing_locations(tree)


class Source(SourceFileLoader):
    quotients = True

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> Any:  # type: ignore[override]
        tree = translated(bytes(data).decode("utf-8-sig"), str(path), self.quotients)
        return compile(tree, str(path), "exec", dont_inherit=True, optimize=_optimize)

    def exec_module(self, module: types.ModuleType) -> None:
        vars(module).update(__quotient__=quotient, xrange=range)
        super().exec_module(module)


class Source3(Source):
    quotients = False


class Finder(MetaPathFinder):
    def __init__(self, checkout: Path, source: type[Source]) -> None:
        self.checkout, self.source = str(checkout), source

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        for folder in [self.checkout] if path is None else path:
            if str(folder).startswith(self.checkout):
                return FileFinder(folder, (self.source, [".py"])).find_spec(name)
        return None


@contextlib.contextmanager
def importing(checkout: Path, source: type[Source] = Source) -> Iterator[None]:
    """Within, modules of the checkout are found first; after it they are forgotten."""
    before, finder, sys.dont_write_bytecode = set(sys.modules), Finder(checkout, source), True
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(checkout)):
                del sys.modules[name]


def defined(path: Path, names: set[str], source: type[Source] = Source, **known: Any) -> dict[str, Any]:
    """Functions and classes of a file's top."""
    tree = translated(path.read_text("utf-8-sig"), str(path), source.quotients)
    tree.body = [node for node in tree.body if getattr(node, "name", None) in names]
    found = {"__quotient__": quotient, "xrange": range, **known}
    exec(compile(ast.fix_missing_locations(tree), str(path), "exec"), found)
    return found
