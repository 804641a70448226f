"""The Python files of a user's own that the command that runs may run: those that it names itself.

A component of one is called ``my_file.py:MyGenerator``.
What a run folder has of a file is its name and its hash, with which `refuse_changed` compares the one that is named.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ganlab.core import files
from ganlab.core.code_file import CodeFile, read
from ganlab.core.errors import GanlabError, sentence

OPTION, CHANGED, ACCEPT = "code", "code.changed", "accept"
_NAME = re.compile(r"([A-Za-z0-9_-]+\.py):([A-Za-z]\w*)")


@dataclass(frozen=True)
class Point:
    """A component of a file, as an entry point is one of a package.

    Args:
        kind: Such as ``generator``.
        name: Of the component: ``my_file.py:MyGenerator``.
        file: Where it is.
    """

    kind: str
    name: str
    file: CodeFile
    dist: None = None

    @property
    def value(self) -> str:
        """The place of the class: ``/home/me/my_file.py:MyGenerator``."""
        return f"{self.file.path}:{short(self.name)}"

    def load(self) -> Any:
        """Run the file, and return the class.

        Raises:
            GanlabError: See `CodeFile.component`.
        """
        return self.file.component(self.kind, short(self.name))


@dataclass
class Allowed:
    """The files that the command that runs has named, and how.

    Args:
        files: By their names.
        accepts: Whether other files than a run had are accepted.
        chosen: Kinds and names of components that it has named one by one, for lists of what there is.
        alone: Names of files that were named without a component, and so must be of the run.
    """

    files: dict[str, CodeFile] = field(default_factory=dict)
    accepts: bool = False
    chosen: list[tuple[str, str]] = field(default_factory=list)
    alone: list[str] = field(default_factory=list)


_now = Allowed()


def split(name: str) -> tuple[str, str] | None:
    """The file and the class of a component's name; None for one that is installed."""
    found = _NAME.fullmatch(name)
    return None if found is None else (found[1], found[2])


def short(name: str) -> str:
    """The name of a component as the key of its options: the class of a file, or the name itself."""
    parts = split(name)
    return name if parts is None else parts[1]


def allow(paths: Iterable[str | os.PathLike[str]], alone: bool = False, accepting: bool = False) -> list[CodeFile]:
    """Let files be run from now on; return them.

    Args:
        alone: They are named without a component, and so must be of the run.
        accepting: Take other files than a run had.

    Raises:
        GanlabError: If one cannot be read, or two have one name; see `read`.
    """
    found = [read(path) for path in paths]
    for file in found:
        before = _now.files.get(file.name, file)
        if before.path != file.path:
            raise GanlabError(f"{before.path} and {file.path} have one name: rename one of them.")
        if alone and file.name in _now.alone:
            raise GanlabError(f"{OPTION}= names {file.name} twice: name it once.")
        _now.files[file.name] = file
        _now.alone += [file.name] * alone
    _now.accepts = _now.accepts or accepting
    return found


def choose(components: Iterable[tuple[str, str]]) -> None:
    """List components of files, by kinds and names, with those that are installed."""
    new = [pair for pair in components if split(pair[1]) is not None and pair not in _now.chosen]
    _now.chosen += new


@contextmanager
def session(like: Allowed | None = None) -> Iterator[None]:
    """Forget at the end of the block what was allowed in it; at its beginning nothing is but what ``like`` allows."""
    global _now
    before, _now = _now, Allowed() if like is None else replace(like, files={**like.files}, chosen=[])
    try:
        yield
    finally:
        _now = before


def allowed() -> Allowed:
    """The files that may be run."""
    return _now


def names(kind: str) -> list[str]:
    """The components of files that were named one by one."""
    return [name for of, name in _now.chosen if of == kind]


def state() -> tuple[object, ...]:
    """All that is named: equal to an earlier one while the same names have the same components."""
    return tuple((file.path, file.hash) for file in _now.files.values()), tuple(_now.chosen)


def blamed(error: BaseException) -> str | None:
    """Say where in a user's own file an unexpected error arose, as a sentence; None if it did not."""
    for each in reversed(traceback.extract_tb(error.__traceback__)):
        file = next((file for file in _now.files.values() if str(file.path) == each.filename), None)
        if file is not None:
            where = f"{files.typed(file.path)}, line {each.lineno}, in {each.name}"
            return f"{where}: {type(error).__name__}: {sentence(error)}"
    return None


def is_allowed(name: str) -> bool:
    """Tell if a component is of a file that may be run."""
    parts = split(name)
    return parts is not None and parts[0] in _now.files


def point(kind: str, name: str) -> Point | None:
    """The component of a file; None for a name that is no file's.

    Raises:
        GanlabError: If the command does not name the file, or it has no such class.
    """
    parts = split(name)
    if parts is None:
        return None
    if parts[0] not in _now.files:
        raise GanlabError(
            f"{kind}={name} is of a file of one's own, and such a file is run only if the command itself names it: "
            f"add {OPTION}=FOLDER/{parts[0]} if you trust it."
        )
    _now.files[parts[0]].refuse(kind, parts[1])
    return Point(kind, name, _now.files[parts[0]])


def used(components: Iterable[str]) -> dict[str, str]:
    """The hash of each file that components are of, by its name."""
    parts = filter(None, map(split, components))
    return {file: _now.files[file].hash for file, _ in sorted(parts) if file in _now.files}


def refuse_changed(components: Sequence[str], hashes: Mapping[str, object], where: str) -> None:
    """Compare the named files with those that a run or a sweep had.

    Args:
        components: Their names in it.
        hashes: What it knows of its files, by their names.
        where: Its folder.

    Raises:
        GanlabError: If one is not named, is another file, or is named and not used.
    """
    needed = list(dict.fromkeys(parts[0] for parts in map(split, components) if parts is not None))
    if missing := [file for file in needed if file not in _now.files]:
        listed = f"[{','.join(f'FOLDER/{file}' for file in missing)}]" if len(missing) > 1 else f"FOLDER/{missing[0]}"
        raise GanlabError(
            f"{where} was made with classes of {' and '.join(missing)}, and a file of one's own is run only if the "
            f"command itself names it: add {OPTION}={listed} if you trust it."
        )
    refuse_unused(components, where)
    if _now.accepts:
        return
    for file in needed:
        if hashes.get(file) != _now.files[file].hash:
            raise GanlabError(
                f"{files.typed(_now.files[file].path)} is not the {file} that {where} was made with (its hash "
                f"differs): bring that back, or take it as it is now with {CHANGED}={ACCEPT}."
            )


def refuse_unused(components: Iterable[str], where: str) -> None:
    """Refuse a file that was named alone and of which nothing is used.

    Args:
        components: The names of those that are used.
        where: The run.

    Raises:
        GanlabError: If there is one.
    """
    used = {parts[0] for parts in map(split, [*components, *(name for _, name in _now.chosen)]) if parts is not None}
    for file in _now.alone:
        if file not in used:
            raise GanlabError(f"{OPTION}={file} has no effect: {where} uses no class of it; leave it out.")
