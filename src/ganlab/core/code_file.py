"""A Python file of a user's own whose classes are components."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from ganlab.core import files, kinds, run_files
from ganlab.core.errors import GanlabError, few, sentence, suggestion

_MODULE = "ganlab_code_"  # under which a file is imported, with its hash


@dataclass(frozen=True)
class CodeFile:
    """A file as a command names it; its text is read once, so that the hash is of what is run.

    Args:
        path: Absolute.
        text: Its bytes.
    """

    path: Path
    text: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """The file's name without its folder, by which a configuration knows it."""
        return self.path.name

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the text, hexadecimal."""
        return hashlib.sha256(self.text).hexdigest()

    @cached_property
    def classes(self) -> dict[str, list[str] | None]:
        """The classes and functions that it defines, which are read without running it.

        Returns:
            By their names, the names of a function's parameters; None of a class.
        """
        found: dict[str, list[str] | None] = {}
        pending: list[ast.AST] = [ast.parse(self.text)]
        while pending:
            for each in ast.iter_child_nodes(pending.pop()):
                if isinstance(each, ast.ClassDef):
                    found[each.name] = None
                elif isinstance(each, ast.FunctionDef):
                    found[each.name] = [one.arg for one in (*each.args.args, *each.args.kwonlyargs)]
                elif isinstance(each, ast.If | ast.Try | ast.With):
                    pending.append(each)
        return {name: parameters for name, parameters in found.items() if name[0] != "_"}

    def refuse(self, kind: str, name: str) -> None:
        """Refuse what the text alone says to be no component of a kind; the file is not run.

        Raises:
            GanlabError: If it defines no class of this name, nor a function that takes what its kind is given.
        """
        what, here = kinds.of(kind).what, files.typed(self.path)
        if name not in self.classes:
            raise GanlabError(f"{here} defines no class {name!r}.{suggestion(name, self.classes)} {self.offers}")
        parameters = self.classes[name]
        if parameters is not None and not set(parameters).intersection(kinds.given(kind)):
            raise GanlabError(f"{name!r} of {here} is a function, and no {what}: name a class of it. {self.offers}")

    def module(self) -> ModuleType:
        """The file as a module, run when it is first asked for.

        Raises:
            GanlabError: If it fails.
        """
        name = _MODULE + hashlib.sha256(os.fsencode(self.path) + self.text).hexdigest()[:32]
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_loader(name, loader=None, origin=str(self.path))
        assert spec is not None
        made = sys.modules[name] = importlib.util.module_from_spec(spec)
        made.__file__ = str(self.path)
        try:
            exec(compile(self.text, str(self.path), "exec", dont_inherit=True), made.__dict__)
        except BaseException as error:
            del sys.modules[name]
            if isinstance(error, Exception | SystemExit):
                raise GanlabError(self._failed(error)) from error
            raise
        return made

    def component(self, kind: str, name: str) -> Any:
        """A class or function of the file.

        Raises:
            GanlabError: If there is none of this name, or it is no component of this kind.
        """
        self.refuse(kind, name)
        made = self.module()
        found = made.__dict__.get(name)
        what, here = kinds.of(kind).what, files.typed(self.path)
        if not inspect.isclass(found) and not inspect.isfunction(found):
            raise GanlabError(f"{name!r} of {here} is no class when the file has been run. {self.offers}")
        bases = inspect.getmro(found) if inspect.isclass(found) else ()
        missing = [method for method in kinds.of(kind).methods if not any(method in vars(base) for base in bases)]
        if bases and missing:
            raise GanlabError(f"{name!r} of {here} is no {what}: it has no method {' and no '.join(missing)}.")
        return found

    @property
    def offers(self) -> str:
        """A sentence about the classes that it has."""
        return f"It defines {few([*self.classes], 8)}." if self.classes else "It defines no class."

    def _failed(self, error: BaseException) -> str:
        lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == str(self.path)]
        where = f"{files.typed(self.path)}, line {lines[-1]}" if lines else files.typed(self.path)
        if isinstance(error, SystemExit):
            return f"{where}: it ends Python while it is imported: put what it runs below `if __name__ == '__main__':`."
        problem = f"{where}: it cannot be imported: {type(error).__name__}: {sentence(error)}"
        beside = self.path.with_name(f"{getattr(error, 'name', None)}.py")
        if isinstance(error, ModuleNotFoundError) and beside.is_file():
            problem += f" A file is imported alone: put what it needs of {beside.name} into it, or make a package."
        return problem


def read(path: str | os.PathLike[str]) -> CodeFile:
    """Read a file, which is not run.

    Raises:
        GanlabError: If there is none, it is no Python, or it lies in a run folder.
    """
    there = files.named(path, "a file of one's own").absolute()
    if re.fullmatch(r"[A-Za-z0-9_-]+\.py", there.name) is None:
        raise GanlabError(
            f"{path}: a file with components is called NAME.py, of letters, digits, _ and -: rename it."
            if there.name.endswith(".py")
            else f"{path} is no Python file: components are in files called NAME.py."
        )
    if not there.is_file():
        raise GanlabError(f"There is no file {path}." if not there.exists() else f"{path} is a folder, and no file.")
    for folder in there.resolve().parents:
        if (folder / run_files.CONFIG).is_file() and (folder / run_files.CHECKPOINTS).is_dir():
            raise GanlabError(
                f"{path} lies in the run folder {files.typed(folder)}, and a run folder is data, which is not run: "
                f"look at the file, and copy it elsewhere if you trust it."
            )
    try:
        found = CodeFile(there, there.read_bytes())
        compile(found.text, str(there), "exec", dont_inherit=True)
    except OSError as error:
        raise files.unreadable(there, error) from error
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        why = error.msg if isinstance(error, SyntaxError) else str(error)
        raise GanlabError(f"{path}{line} is no Python: {sentence(why)}") from error
    return found
