"""Options of every component without importing it: tables in the cache folder, one for each distribution.

Importing torch takes seconds, and a plug-in may fail to import, so another process imports each component once
(`ganlab.config.scan`). A table is valid until a Python file of its distribution or of ganlab changes. It is JSON, and
never executed; a damaged one is made again, and without a writable folder everything works, but slowly.
"""

from __future__ import annotations

import hashlib
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
from importlib.metadata import EntryPoint, PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ganlab.config import docstrings, schema
from ganlab.core import files, kinds, registry
from ganlab.core.cache import cache_folder
from ganlab.core.errors import GanlabError

OWN = "ganlab"
PATIENCE_SECONDS = 120.0  # for one component, torch's own import in it
KEPT_SECONDS = 30 * 24 * 3600  # for tables of environments that are gone
TRAINER = ("trainer", "lightning")  # its options are Lightning's own
_TRAINER, _OWNED = "lightning.pytorch:Trainer", "ganlab.runs.trainer:OWNED"


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
    """

    doc: str = ""
    options: tuple[schema.Option, ...] = ()
    takes: tuple[str, ...] = ()
    companions: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""

    @property
    def summary(self) -> str:
        """The first sentence of the docstring, on one line, or what the problem is."""
        return self.problem or docstrings.summary(self.doc)

    @classmethod
    def of(cls, row: dict[str, Any]) -> Described:
        """Read what was written as JSON."""
        options = tuple(schema.Option(**option) for option in row["options"])
        return cls(**{**row, "options": options, "takes": tuple(row["takes"])})

    @property
    def node(self) -> dict[str, Any]:
        """The options with their defaults."""
        return {option.name: option.default for option in self.options}


def live(kind: str, name: str) -> Described:
    """Import a component and describe it.

    Raises:
        GanlabError: If it cannot be imported, or is no component.
    """
    if (kind, name) == TRAINER:
        return describe(*(EntryPoint("", value, "").load() for value in (_TRAINER, _OWNED)))
    return describe(registry.load(kind, name), kinds.given(kind), kinds.of(kind).shown)


def describe(component: Any, given: Collection[str] = (), shown: Iterable[str] = ()) -> Described:
    """Describe a class or function.

    Args:
        given: Arguments that are no options.
        shown: Attributes that belong to the description.

    Raises:
        GanlabError: If it has no signature, or a default that a configuration cannot hold.
    """
    options = schema.options(component, given)
    doc = inspect.getdoc(component) or ""
    about = docstrings.arguments(doc)
    return Described(
        doc,
        tuple(option.in_words(about.get(name, "")) for name, option in options.items()),
        tuple(sorted(schema.takes(component))),
        dict(getattr(component, "companions", {})),
        {name: schema.plain(getattr(component, name, None)) for name in shown},
    )


def read(kind: str, name: str) -> Described:
    """The component as its table has it, which is made if there is none; one of this process is read live.

    Raises:
        GanlabError: If no component or more than one has this name.
    """
    home = _home(kind, name)
    if home is None:
        return live(kind, name)
    if (kind, name) not in _tables()[home].known:
        _fill()
    return Described.of(_tables()[home].known[kind, name])


def at_hand(kind: str, name: str) -> Described:
    """Describe a component that is about to be used: from an existing table, or by importing it.

    Raises:
        GanlabError: If it cannot be used.
    """
    home = _home(kind, name)
    known = None if home is None else _tables()[home].known.get((kind, name))
    return live(kind, name) if known is None or known["problem"] else Described.of(known)


def key(kind: str, name: str) -> str:
    """Return a text that changes whenever the description of a component may."""
    with suppress(GanlabError):
        return _tables()[_home(kind, name) or OWN].key
    return _tables()[OWN].key


@dataclass
class _Table:
    """The descriptions of the components of one distribution.

    Args:
        file: Its file.
        key: See `key`.
        wanted: The components that it is about.
        known: Their rows so far, see `Described.of`.
    """

    file: Path
    key: str
    wanted: tuple[tuple[str, str], ...]
    known: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def load(self) -> None:
        """Read the file, if it is whole and of this key; try broken components again after packages were installed."""
        for kind, name, paths, row in read_lines(self.file, self.key):
            if paths == _paths() or not row["problem"]:
                self.known[kind, name] = row

    def store(self) -> None:
        write_lines(self.file, self.key, [[*pair, _paths(), row] for pair, row in self.known.items()])


def read_lines(file: Path, key: str) -> list[Any]:
    """The content of a cache file; empty if there is none, it is damaged, or was written under another key."""
    try:
        head, _, text = files.read(file).decode().partition("\n")
        return list(json.loads(text)) if head == f"{key} {_digest(text)}" else []
    except (OSError, ValueError):
        return []


def write_lines(file: Path, key: str, content: Iterable[Any]) -> None:
    """Write a cache file, if the folder can be written, and remove those that nobody has written for a month."""
    text = json.dumps(list(content))
    with suppress(OSError):
        with files.whole(file) as opened:
            opened.write(f"{key} {_digest(text)}\n{text}".encode())
        for other in file.parent.glob("*.json"):
            if time.time() - other.stat().st_mtime > KEPT_SECONDS:
                other.unlink()


def cache_file(name: str, *where: str) -> Path:
    """Return the cache file of a thing at some place on this machine."""
    return cache_folder() / "options" / f"{name}-{_digest(sys.prefix, *where)}.json"


def _digest(*words: object) -> str:
    return hashlib.sha256(repr(words).encode()).hexdigest()[:32]


def _home(kind: str, name: str) -> str | None:
    """The distribution of a component; None for one of this process."""
    if (kind, name) == TRAINER:
        return TRAINER[1]
    point = registry.find(kind, name)
    return None if point is None else registry.distribution(point)


@registry.kept
def _tables() -> dict[str, _Table]:
    """The table of each distribution that has components, with what the cache holds of it."""
    points: dict[str, list[tuple[str, EntryPoint]]] = {OWN: [], TRAINER[1]: []}
    for kind, of in kinds.KINDS.items():
        owners = registry.owners(kind)
        for point in registry.points(of.group):
            if len(owners[point.name]) == 1:  # of two that claim a name neither can be used
                points.setdefault(owners[point.name][0], []).append((kind, point))
    tables: dict[str, _Table] = {}
    own = ""
    for name, found in points.items():
        packages = {point.value.partition(":")[0].partition(".")[0].strip() for _, point in found}
        stamps = sorted(stamp for package in packages | ({OWN} & {name}) for stamp in _stamps(package))
        listed = sorted((kind, point.name, point.value) for kind, point in found)
        own_key = _digest(platform.python_version(), name, _version(name), own, listed, stamps)
        own = own or own_key
        wanted = [(kind, point.name) for kind, point in found] if name != TRAINER[1] else [TRAINER]
        tables[name] = _Table(cache_file(name, *sorted({path for path, *_ in stamps[:1]})), own_key, tuple(wanted))
        tables[name].load()
    return tables


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _stamps(package: str) -> Iterator[tuple[str, int, int]]:
    """(path, time, size) of every Python file of a package or module that is not imported for it."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return
    pending: list[str] = [] if spec is None else [*(spec.submodule_search_locations or ())]
    if spec is not None and spec.origin and not pending and os.path.isfile(spec.origin):
        yield stamp(spec.origin)
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    if not entry.name.startswith((".", "__")):
                        pending.append(entry.path)
                elif entry.name.endswith(".py"):
                    yield stamp(entry.path)


def stamp(path: str | os.PathLike[str]) -> tuple[str, int, int]:
    """Return values that change when a file does."""
    found = os.stat(path)
    return str(path), found.st_mtime_ns, found.st_size


@registry.kept
def _paths() -> str:
    """Return a text that changes when packages are installed or removed."""
    return _digest([stamp(path)[:2] for path in sys.path if os.path.isdir(path)])


def _fill() -> None:
    """Import components that no table has, in other processes, and store their descriptions."""
    missing = {pair: table for table in _tables().values() for pair in table.wanted if pair not in table.known}
    names = ", ".join(sorted(name for name, table in _tables().items() if table in missing.values()))
    print(f"ganlab: reading the options of {len(missing)} components once ({names}).", file=sys.stderr, flush=True)
    for pair, found in _scanned([*missing]):
        missing[pair].known[pair] = asdict(found)
    for table in {id(table): table for table in missing.values()}.values():
        table.store()


def _scanned(wanted: list[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], Described]]:
    """Describe components in another process; one that ends or blocks it is broken, and a new one takes the rest."""
    while wanted:
        done = 0
        with _Child(wanted) as child:
            for line in child.lines():
                yield wanted[done], Described.of(json.loads(line))
                done += 1
        if done < len(wanted):
            kind, name = wanted[done]
            what = f"The {kinds.KINDS[kind].what if kind in kinds.KINDS else kind} {name!r} cannot be imported"
            yield wanted[done], Described(problem=f"{what}: {child.end}.")
        wanted = wanted[done + 1 :]


class _Child:
    """The process that imports; ``end`` says how it ended."""

    def __init__(self, wanted: list[tuple[str, str]]) -> None:
        program = str(Path(__file__).with_name("scan.py"))
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        self.process = subprocess.Popen([sys.executable, program], stdin=pipe, stdout=pipe, stderr=null, text=True)
        self.request = json.dumps({"path": [path for path in sys.path if path], "wanted": wanted})
        self.late = False
        self.end = ""

    def __enter__(self) -> _Child:
        return self

    def lines(self) -> Iterator[str]:
        """Yield what it writes, line by line; it is killed when the next one takes too long."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(OSError):
            self.process.stdin.write(self.request)
            self.process.stdin.close()
        while True:
            timer = threading.Timer(PATIENCE_SECONDS, self._kill)
            timer.start()
            line = self.process.stdout.readline()
            timer.cancel()
            if not line.endswith("\n"):
                return
            yield line

    def _kill(self) -> None:
        self.late = True
        self.process.kill()

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self.process.kill()
        code = self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self.end = f"it takes longer than {PATIENCE_SECONDS:g} s" if self.late else f"it ends Python with {how}"
