"""Names -> components: every entry point of the groups below, ganlab's own among them.

A component is one class (or function); its constructor's signature is its configuration. ganlab's
own components come through the same door as a plug-in's and have no privileges.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import Distribution, EntryPoint, EntryPoints, distributions, entry_points
from typing import Any, ParamSpec, TypeVar, cast

from ganlab.core import code_files, kinds
from ganlab.core.errors import GanlabError, suggestion

T = TypeVar("T")
P = ParamSpec("P")

HERE = "this process"  # where a component is from that was registered in it
_kept: list[Any] = []
_registered: dict[tuple[str, str], Any] = {}


def kept(function: Callable[P, T]) -> Callable[P, T]:
    """Decorator that keeps the results of a function until `forget`."""
    _kept.append(cache(function))
    return cast(Callable[P, T], _kept[-1])


def register(kind: str, name: str) -> Callable[[T], T]:
    """Register a component in this process only, as a decorator: for scripts and notebooks.

    A component that others are to use belongs into the entry points of a package.
    """
    kinds.of(kind)

    def add(component: T) -> T:
        _registered[kind, name] = component
        return component

    return add


def names(kind: str) -> list[str]:
    """Names of all components of a kind, installed, registered or of a file that is named; nothing is imported."""
    return list(owners(kind))


def owners(kind: str) -> dict[str, list[str]]:
    """The distributions that provide each component of a kind, by name in order; several are an error."""
    installed = {name: sorted({distribution(point) for point in found}) for name, found in _installed(kind).items()}
    registered = {name: [HERE] for of, name in _registered if of == kind and name not in installed}
    of_files = {name: [name.partition(":")[0]] for name in code_files.names(kind)}
    return dict(sorted((installed | registered | of_files).items()))


def find(kind: str, name: str) -> EntryPoint | code_files.Point | None:
    """The entry point of a component, or its place in a file; None for one that was registered in this process.

    Raises:
        GanlabError: If no component or more than one has this name, or it is of a file that is not named.
    """
    if (kind, name) in _registered:
        return None
    if (of_file := code_files.point(kind, name)) is not None:
        return of_file
    found = _installed(kind).get(name, [])
    homes = sorted({distribution(point) for point in found})
    if len(homes) == 1:
        return found[0]
    what, known = kinds.of(kind).what, names(kind)
    if homes:
        raise GanlabError(
            f"Two packages provide the {what} {name!r}: {' and '.join(homes)}. "
            f"Uninstall one of them or rename its entry point."
        )
    raise GanlabError(
        f"No {what} is called {name!r}.{suggestion(name, known)} Installed: {', '.join(known)}.{about_unreadable()}"
    )


def load(kind: str, name: str) -> Any:
    """The component itself, imported.

    Raises:
        GanlabError: As `find`, and if its package fails to import.
    """
    point = find(kind, name)
    if point is None:
        return _registered[kind, name]
    if isinstance(point, code_files.Point):
        return point.load()
    home = distribution(point)
    try:
        component = point.load()
    except (Exception, SystemExit) as error:  # a module may call sys.exit while it is imported
        reason = " ".join(str(error).split()) or type(error).__name__
        raise GanlabError(
            f"The {kinds.of(kind).what} {name!r} of {home} cannot be imported from {point.value!r}: "
            f"{type(error).__name__}: {reason}. Fix or uninstall {home}, or choose another {kind}."
        ) from error
    if not callable(component):
        raise GanlabError(
            f"The {kinds.of(kind).what} {name!r} of {home} is no component: {point.value!r} is a "
            f"{type(component).__name__}, and a class or function is wanted. Fix or uninstall {home}."
        )
    return component


def unfinished(kind: str, built: Any) -> str | None:
    """Say what an object of a component lacks to be one of its kind, as a sentence without its key; None: nothing."""
    of = kinds.of(kind)
    methods = () if of.place == "around" else of.methods  # `ganlab.runs.around` asks for the class of these
    missing = " and no ".join(name for name in (*methods, *of.has) if not hasattr(built, name))
    if not missing:
        return None
    return f"{type(built).__name__} has no {missing}, and so is no {of.what}; this is for its author to fix."


def distribution(point: EntryPoint) -> str:
    """Name of the distribution that an entry point comes from."""
    return _name(point.dist) if point.dist is not None else point.value


def of_distribution(name: str) -> list[EntryPoint]:
    """The entry points of all components of a distribution."""
    installed = (points for kind in kinds.KINDS for points in _installed(kind).values())
    return [point for points in installed for point in points if distribution(point) == name]


@kept
def points(group: str) -> tuple[EntryPoint, ...]:
    """All entry points of a group; the metadata of installed distributions is read once a process."""
    return tuple(_metadata()[0].select(group=group))


def about_unreadable() -> str:
    """A sentence about the distributions whose entry points cannot be read; or ""."""
    broken = " and of ".join(f"{name} ({reason})" for name, reason in _metadata()[1].items())
    return f" The entry points of {broken} cannot be read: reinstall or uninstall it." if broken else ""


def forget() -> None:
    """Forget the metadata of installed distributions, so that it is read again."""
    for cached in _kept:
        cached.cache_clear()


def state() -> tuple[object, ...]:
    """All that is installed or registered: equal to an earlier one while the same names have the same components."""
    # entry points are equal by their text, distributions by identity: those that are read again are others
    installed = tuple((point, point.dist) for kind in kinds.KINDS.values() for point in points(kind.group))
    return installed, tuple(_registered.items()), code_files.state()


@kept
def _installed(kind: str) -> dict[str, list[EntryPoint]]:
    """The entry points of a kind, by name."""
    found: dict[str, list[EntryPoint]] = {}
    for point in points(kinds.of(kind).group):
        found.setdefault(point.name, []).append(point)
    return found


@kept
def _name(found: Distribution) -> str:
    return found.name


@kept
def _metadata() -> tuple[EntryPoints, dict[str, str]]:
    """Entry points, and the distributions whose ``entry_points.txt`` is malformed."""
    try:
        return cast(EntryPoints, entry_points()), {}  # Python 3.10 and 3.11 call it SelectableGroups
    except Exception:  # importlib stops at the first malformed file
        first: dict[str, Distribution] = {}
        for each in distributions():  # the first of a name on the path is the one that is imported
            first.setdefault(each.name, each)
        found: list[EntryPoint] = []
        broken: dict[str, str] = {}
        for name, each in first.items():
            try:
                found += each.entry_points
            except Exception as error:
                broken[name] = " ".join(str(error).split()) or type(error).__name__
        return EntryPoints(found), broken
