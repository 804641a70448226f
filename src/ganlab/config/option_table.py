"""Options of every component without importing it: rows of a file in the cache folder.

Importing torch takes seconds, and a plug-in may fail to import, so another process imports each component once. A row
is valid until a Python file of its distribution or of ganlab changes. The file is JSON, and never executed; a damaged
one is made again, and without a writable folder everything works, but slowly.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from ganlab.config import docstrings, schema
from ganlab.core import cache, code_file, code_files, kinds, registry
from ganlab.core.errors import GanlabError, sentence

OWN = "ganlab"
Place = EntryPoint | code_files.Point
PATIENCE_SECONDS = 120.0  # for one component, torch's own import in it
TRAINER = ("trainer", "lightning")  # its options are Lightning's own, without those that ganlab decides
_TRAINER, _OWNED = "lightning.pytorch:Trainer", "ganlab.runs.trainer:OWNED"
_PROGRAM = """
import json, sys
sys.path[:], wanted, files = json.load(sys.stdin)
from ganlab.config import option_table
option_table.answer(wanted, files)
"""


@dataclass(frozen=True)
class Described:
    """A component in words.

    Args:
        doc: The docstring, without indentation.
        options: With annotations in words.
        takes: All arguments of its constructor.
        companions: Of a game, see `ganlab.contracts.Game`.
        shown: Attributes that `ganlab show` prints.
        problem: Why it cannot be used, as a sentence; "" if it can.
        ends_python: Whether importing it ends or blocks the process, so that no other process may try.
    """

    doc: str = ""
    options: tuple[schema.Option, ...] = ()
    takes: tuple[str, ...] = ()
    companions: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    ends_python: bool = False

    @property
    def summary(self) -> str:
        """The first sentence of the docstring, on one line, or what the problem is."""
        return self.problem or docstrings.summary(self.doc)

    @property
    def node(self) -> dict[str, Any]:
        """The options with their defaults."""
        return {option.name: option.default for option in self.options}

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Described:
        """Read what was written as JSON."""
        return cls(**{**row, "options": schema.rows(row["options"]), "takes": tuple(row["takes"])})


def describe(
    component: Any, given: Collection[str] = (), shown: Iterable[str] = (), foreign: bool = False
) -> Described:
    """Describe a class or function.

    Args:
        given: Arguments that are no options.
        shown: Attributes that belong to the description.
        foreign: See `ganlab.config.schema.options`.

    Raises:
        GanlabError: If it has no signature, or a default that a configuration cannot hold.
    """
    doc = inspect.getdoc(component) or ""
    return Described(
        doc,
        schema.in_words(schema.options(component, given, foreign), docstrings.arguments(doc)),
        tuple(sorted(schema.takes(component))),
        dict(getattr(component, "companions", {})),
        {name: schema.plain(getattr(component, name, None)) for name in shown},
    )


def live(kind: str, name: str) -> Described:
    """Import a component and describe it.

    Raises:
        GanlabError: If it cannot be imported, or is no component.
    """
    if (kind, name) == TRAINER:
        return describe(*(EntryPoint("", value, "").load() for value in (_TRAINER, _OWNED)))
    of = kinds.of(kind)
    return describe(registry.load(kind, name), kinds.given(kind), of.shown, of.foreign)


def read(kind: str, name: str) -> Described:
    """The component as the file has it, which is completed if it has no valid row; one of this process is read live.

    Raises:
        GanlabError: If no component or more than one has this name.
    """
    point = _point(kind, name)
    if point is None:
        return live(kind, name)
    return Described.of(_row(kind, point) or _complete(kind, name)[kind, name])


def at_hand(kind: str, name: str) -> Described:
    """Describe a component that is about to be used: from a valid row, or by importing it.

    Raises:
        GanlabError: If it cannot be used.
    """
    point = _point(kind, name)
    row = None if point is None else _row(kind, point)
    of_file = isinstance(point, code_files.Point)  # it may be a script, which ends or blocks Python
    if point is not None and row is None and (of_file or _ended_python(kind, point)):
        row = asdict(read(kind, name))
    if row is not None and row["ends_python"]:
        raise GanlabError(row["problem"])
    return live(kind, name) if row is None or row["problem"] else Described.of(row)


def node(kind: str, name: str) -> dict[str, Any]:
    """Return the node that ``kind=name`` adds to the configuration."""
    return {schema.COMPONENT: name, **at_hand(kind, name).node}


def key(kind: str, name: str) -> str:
    """Return a text that changes whenever the description of a component may."""
    with suppress(GanlabError):
        return _key_of(_point(kind, name))
    return _key(OWN)


def answer(wanted: Iterable[tuple[str, str]], files: Mapping[str, str]) -> None:
    """Describe components, each on a line of JSON; what one prints while it is imported goes elsewhere.

    Args:
        files: Texts of files that some are of, by their paths.
    """
    code = [code_file.CodeFile(Path(path), text.encode("latin-1")) for path, text in files.items()]
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for kind, name in wanted:
        try:
            with code_files.session(code_files.Allowed({file.name: file for file in code})):
                found = live(kind, name)
        except Exception as error:
            what = "" if isinstance(error, GanlabError) else f"{kind}={name} cannot be read: {type(error).__name__}: "
            found = Described(problem=f"{what}{sentence(error)}")
        print(json.dumps(asdict(found)), file=lines, flush=True)


def package(name: str) -> tuple[list[Path], str | None]:
    """The folders of a top-level package, or the file of a module, which is not imported; empty if there is none."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec is not None else []
    return folders, spec.origin if spec is not None and not folders else None


def stamp(path: str | os.PathLike[str]) -> list[Any]:
    """Return values that change when a file does."""
    found = os.stat(path)
    return [str(path), found.st_mtime_ns, found.st_size]


@registry.kept
def _rows() -> cache.Rows:
    return cache.Rows("options", sys.prefix, *package(OWN)[0])


def _point(kind: str, name: str) -> Place | None:
    """The entry point of a component; None for one of this process."""
    return EntryPoint(name, _TRAINER, "") if (kind, name) == TRAINER else registry.find(kind, name)


def _home(point: Place | None) -> str:
    """The distribution of a component, or its file."""
    if point is None:
        return OWN
    if isinstance(point, code_files.Point):
        return point.file.name
    return TRAINER[1] if point.value == _TRAINER else registry.distribution(point)


def _row(kind: str, point: Place) -> dict[str, Any] | None:
    """The row of a component if it is valid; a broken one is tried again after packages were installed."""
    row = _rows().get(f"{kind}={point.name}")
    if row is None or row["key"] != _key_and_value(point):
        return None
    described: dict[str, Any] = row["described"]
    return None if described["problem"] and row["paths"] != _paths() else described


def _ended_python(kind: str, point: Place) -> bool:
    """Tell if a component has ended or blocked the process that imported it before packages were installed."""
    row = _rows().get(f"{kind}={point.name}")
    return row is not None and bool(row["described"]["ends_python"])


def _key_of(point: Place | None) -> str:
    """Return a text that changes when the files that a component is made of do."""
    if isinstance(point, code_files.Point):
        return cache.digest(platform.python_version(), point.file.hash, _key(OWN))
    return _key(_home(point))


def _key_and_value(point: Place) -> list[str]:
    """Return what a row is valid for; a file may lie in any folder."""
    return [_key_of(point), point.name if isinstance(point, code_files.Point) else point.value]


@registry.kept
def _key(home: str) -> str:
    """Digest a distribution: its version, the Python files of the packages of its entry points, and ganlab's."""
    points = registry.of_distribution(home)
    versions = sorted({point.dist.version for point in points if point.dist is not None})
    packages = {point.value.partition(":")[0].partition(".")[0].strip() for point in points} or {home}
    stamps = sorted(stamp for package in packages for stamp in _stamps(package))
    return cache.digest(platform.python_version(), versions, stamps, _key(OWN) if home != OWN else "")


def _stamps(name: str) -> Iterator[list[Any]]:
    """The stamp of every Python file of a package or module."""
    folders, file = package(name)
    pending: list[str | Path] = [*folders]
    if file is not None and os.path.isfile(file):
        yield stamp(file)
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    if not entry.name.startswith((".", "__")):
                        pending.append(entry.path)
                elif entry.name.endswith(".py"):
                    yield stamp(entry.path)


@registry.kept
def _paths() -> str:
    """Return a text that changes when packages are installed or removed."""
    return cache.digest([stamp(path)[:2] for path in sys.path if os.path.isdir(path)])


def _complete(kind: str, name: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Import components without a valid row, in other processes, and return and keep their descriptions.

    Args:
        kind, name: Of one that may be of a file, and so in no list.
    """
    single = ((each, n) for each in kinds.KINDS for n, owners in registry.owners(each).items() if len(owners) == 1)
    points = {pair: _point(*pair) for pair in [TRAINER, *single, (kind, name)]}
    missing = {pair: point for pair, point in points.items() if point is not None and _row(pair[0], point) is None}
    homes = ", ".join(sorted({_home(point) for point in missing.values()}))
    count = f"{len(missing)} component{'s' if len(missing) > 1 else ''}"
    print(f"ganlab: reading the options of {count} once ({homes}).", file=sys.stderr, flush=True)
    found = {pair: asdict(described) for pair, described in _scanned([*missing])}
    for pair, row in found.items():
        _rows()["=".join(pair)] = {"key": _key_and_value(missing[pair]), "paths": _paths(), "described": row}
    _rows().write()
    return found


def _scanned(wanted: list[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], Described]]:
    """Describe components in another process; one that ends or blocks it is broken, and a new one takes the rest."""
    while wanted:
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        words = [sys.executable, "-I", "-B", "-c", _PROGRAM]  # -B: a .pyc hides an edit within the same second
        with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=null, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                with suppress(OSError):
                    process.stdin.write(json.dumps([[path for path in sys.path if path], wanted, _texts()]))
                    process.stdin.close()
                while wanted:
                    begin = time.monotonic()
                    timer = threading.Timer(PATIENCE_SECONDS, process.kill)
                    timer.start()
                    line = process.stdout.readline()
                    timer.cancel()
                    pair, *wanted = wanted
                    if not line.endswith("\n"):
                        late = time.monotonic() - begin >= PATIENCE_SECONDS
                        problem = _unanswered(*pair, None if late else process.wait())
                        yield pair, Described(problem=problem, ends_python=True)
                        break
                    yield pair, Described.of(json.loads(line))
            finally:
                process.kill()


def _texts() -> dict[str, str]:
    """The texts of the files that may be run, byte by byte, by their paths."""
    return {str(file.path): file.text.decode("latin-1") for file in code_files.allowed().files.values()}


def _unanswered(kind: str, name: str, code: int | None) -> str:
    """Say why a component was not described: the process took too long (None), or ended."""
    what = f"The {kinds.KINDS[kind].what if kind in kinds.KINDS else kind} {name!r} cannot be imported"
    if code is None:
        reason = f"it takes longer than {PATIENCE_SECONDS:g} s"
    else:
        reason = f"it ends Python with {f'signal {-code}' if code < 0 else f'exit code {code}'}"
    point = _point(kind, name)
    if isinstance(point, code_files.Point):
        return f"{what}: {reason}. Put what {point.file.name} runs below `if __name__ == '__main__':`."
    return f"{what}: {reason}. Fix or uninstall {_home(point)}, or choose another {kind}."
