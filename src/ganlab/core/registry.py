"""Names -> components: every entry point of the groups below, ganlab's own among them.

A component is one class (or function); its constructor's signature is its configuration. ganlab's
own components come through the same door as a plug-in's and have no privileges.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import Distribution, EntryPoint, EntryPoints, distributions, entry_points
from typing import Any, TypeVar, cast

from ganlab.core import kinds
from ganlab.core.errors import GanlabError, suggestion

T = TypeVar("T")

HERE = "this process"  # where a component is from that was registered in it
_kept: list[Any] = []


def kept(function: Callable[[], T]) -> Callable[[], T]:
    """Decorator that keeps the result of a function until `forget`."""
    _kept.append(cache(function))
    return cast(Callable[[], T], _kept[-1])


_registered: dict[tuple[str, str], Any] = {}


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
    """Names of all components of a kind, installed or registered; nothing is imported."""
    return sorted({*(point.name for point in _points(kind)), *(n for k, n in _registered if k == kind)})


def choices(kind: str) -> list[str]:
    """Names that ``kind=name`` may choose: all but those that every run has."""
    return [name for name in names(kind) if name not in kinds.of(kind).always]


def find(kind: str, name: str) -> EntryPoint | None:
    """The entry point of a component; None for one that was registered in this process.

    Raises:
        GanlabError: If no component or more than one has this name.
    """
    if (kind, name) in _registered:
        return None
    found = [point for point in _points(kind) if point.name == name]
    if not found:
        what = kinds.of(kind).what
        raise GanlabError(
            f"No {what} is called {name!r}.{suggestion(name, names(kind))} Installed: {', '.join(names(kind))}."
            f"{about_unreadable()}"
        )
    claims = owners(kind)[name]
    if len(claims) > 1:
        raise GanlabError(
            f"Two packages provide the {kinds.of(kind).what} {name!r}: {' and '.join(claims)}. "
            f"Uninstall one of them or rename its entry point."
        )
    return found[0]


def load(kind: str, name: str) -> Any:
    """The component itself, imported.

    Raises:
        GanlabError: As `find`, and if its package fails to import.
    """
    point = find(kind, name)
    if point is None:
        return _registered[kind, name]
    try:
        component = point.load()
    except (Exception, SystemExit) as error:  # a module may call sys.exit while it is imported
        reason = " ".join(str(error).split()) or type(error).__name__
        raise GanlabError(
            f"The {kinds.of(kind).what} {name!r} of {distribution(point)} cannot be imported from {point.value!r}: "
            f"{type(error).__name__}: {reason}. Fix or uninstall {distribution(point)}, or choose another {kind}."
        ) from error
    if not callable(component):
        raise GanlabError(
            f"The {kinds.of(kind).what} {name!r} of {distribution(point)} is no component: {point.value!r} is a "
            f"{type(component).__name__}, and a class or function is wanted. Fix or uninstall {distribution(point)}."
        )
    return component


def unfinished(kind: str, built: Any) -> str | None:
    """Say what an object of a component lacks to be one of its kind, as a sentence without its key; None: nothing."""
    missing = [name for name in kinds.of(kind).has if not hasattr(built, name)]
    if not missing:
        return None
    return (
        f"{type(built).__name__} has no {' and no '.join(missing)}, and so is no {kinds.of(kind).what}; this is for "
        f"its author to fix."
    )


def distribution(point: EntryPoint) -> str:
    """Name of the distribution that an entry point comes from."""
    return _distribution_name(point.dist) if point.dist is not None else point.value


def owners(kind: str) -> dict[str, list[str]]:
    """The distributions that provide each component of a kind, by name in order; several are an error."""
    found: dict[str, set[str]] = {name: set() for name in names(kind)}
    for point in _points(kind):
        found[point.name].add(distribution(point))
    return {name: sorted(providers) or [HERE] for name, providers in found.items()}


@cache
def points(group: str) -> tuple[EntryPoint, ...]:
    """All entry points of a group; the metadata of installed distributions is read once a process."""
    return tuple(_metadata()[0].select(group=group))


def about_unreadable() -> str:
    """A sentence about the distributions whose entry points cannot be read; or ""."""
    broken = [f"{name} ({reason})" for name, reason in _metadata()[1].items()]
    return (
        f" The entry points of {' and of '.join(broken)} cannot be read: reinstall or uninstall it." if broken else ""
    )


def forget() -> None:
    """Forget the metadata of installed distributions, so that it is read again."""
    for cached in (points, _distribution_name, *_kept):
        cached.cache_clear()


def state() -> tuple[object, ...]:
    """All that is installed or registered: equal to an earlier one while the same names have the same components."""
    # entry points are equal by their text, distributions by identity: those that are read again are others
    installed = tuple((point, point.dist) for kind in kinds.KINDS.values() for point in points(kind.group))
    return installed, tuple(_registered.items())


@cache
def _distribution_name(found: Distribution) -> str:
    return found.name


@kept
def _metadata() -> tuple[EntryPoints, dict[str, str]]:
    """Entry points, and the distributions whose ``entry_points.txt`` is malformed."""
    try:
        return cast(EntryPoints, entry_points()), {}  # Python 3.10 and 3.11 call it SelectableGroups
    except Exception:  # importlib stops at the first malformed file
        found: list[EntryPoint] = []
        broken: dict[str, str] = {}
        seen: set[str] = set()
        for each in distributions():
            if each.name in seen:  # the first of a name on the path is the one that is imported
                continue
            seen.add(each.name)
            try:
                found += each.entry_points
            except Exception as error:
                broken[each.name] = " ".join(str(error).split()) or type(error).__name__
        return EntryPoints(found), broken


def _points(kind: str) -> tuple[EntryPoint, ...]:
    return points((kinds.KINDS.get(kind) or kinds.of(kind)).group)
