"""The callbacks, loggers and instruments of a run: find those of a configuration, make them, put them in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers.logger import DummyLogger, Logger

from ganlab.config import component, compose, configuration, option_table, schema
from ganlab.config.component import Component
from ganlab.config.configuration import Config
from ganlab.config.schema import COMPONENT
from ganlab.contracts.callback import RunContext
from ganlab.contracts.instrument import Instrument
from ganlab.core import code_files, kinds, registry
from ganlab.core.errors import GanlabError, sentence
from ganlab.runs import part_failures

ORDER = 50  # of a callback that does not say when it acts
CLASSES: dict[str, type] = {"callback": L.Callback, "logger": Logger, "watch": Instrument}  # by kind


def check(config: Config) -> dict[str, list[Component]]:
    """The callbacks, loggers and instruments that a configuration names, by kind.

    Raises:
        GanlabError: If one is not installed, with near names; or with every option that is wrong.
    """
    found: dict[str, list[Component]] = {kind: [] for kind in CLASSES}
    problems: list[str] = []
    for kind in CLASSES:
        for name, node in config.around.get(kind, {}).items():
            refuse_always(kind, node.get(COMPONENT, name))
            part, wrong = component.read(kind, f"{kind}.{name}", {COMPONENT: name, **node})
            found[kind].append(part)
            problems += [*wrong, *part.missing]
            problems += [f"{part.key}.{o} cannot follow a schedule: give one number." for o in part.scheduled]
    if problems:
        raise GanlabError(" ".join(problems))
    return found


def chosen(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a resumed run with its new callbacks, loggers and instruments.

    Args:
        overrides: Those for the keys ``callback``, ``logger`` and ``watch``: a name, several, or ``none``. Without one
            the run keeps what it had, with the options that its version of ganlab did not know.

    Raises:
        GanlabError: If one is not installed, or named twice.
    """
    new = dict(config)
    for kind in CLASSES:
        node = config.get(kind) or {}
        before = configuration.named(kind, node)
        of_section = {name: value for name, value in node.items() if name not in before}
        value = overrides.get(kind, list(before))
        names = [str(name) for name in (value if isinstance(value, list) else [value]) if name not in (None, "none")]
        keys = [code_files.short(name) for name in names]
        for name, key in zip(names, keys, strict=True):
            refuse_always(kind, name)
            if keys.count(key) > 1:
                raise GanlabError(compose.named_twice(kind, key, None))
        nodes = {key: before.get(name) or {COMPONENT: name} for name, key in zip(names, keys, strict=True)}
        parts = {key: {**option_table.node(kind, part.get(COMPONENT, key)), **part} for key, part in nodes.items()}
        new[kind] = {**of_section, **parts}
    return new


def refuse_always(kind: str, name: str) -> None:
    """Refuse the name of a callback or logger that every run has.

    Raises:
        GanlabError: With the place of its options.
    """
    problem = compose.named_needlessly(kind, name)
    if problem:
        raise GanlabError(problem)


def callbacks(run: RunContext, parts: Sequence[Component]) -> list[L.Callback]:
    """All callbacks of a run in their order: those that every run has, and those that its configuration names.

    Raises:
        GanlabError: If one cannot be made.
    """
    found: list[L.Callback] = []
    for name, section in kinds.of("callback").always.items():
        maker = registry.load("callback", name)
        options = vars(getattr(run.experiment.config, section)) if section else {}
        if not hasattr(maker, "is_wanted") or maker.is_wanted(options):
            found.append(maker(run, **options))
    found += [part_failures.callback(_make(part, run), part.key, run) for part in parts]
    return sorted(found, key=_order)


def instruments(config: Config) -> dict[str, Instrument]:
    """Make the instruments that a configuration names, by name.

    Raises:
        GanlabError: If one cannot be made.
    """
    return {part.key.partition(".")[2]: _checked(part.make(), part) for part in check(config)["watch"]}


def loggers(run: RunContext, parts: Sequence[Component], main: bool) -> list[Logger]:
    """The loggers that the configuration of a run names.

    Args:
        main: Whether this process writes; others have loggers that do nothing, so that callbacks find some.

    Raises:
        GanlabError: If one cannot be made, or would write elsewhere than into the run.
    """
    if not main:
        return [DummyLogger() for _ in parts]
    found = []
    for part in parts:
        made = _make(part, run)
        _refuse_elsewhere(made, part.key, run.folder)
        found.append(part_failures.logger(made, part.key, run))
    return found


def begin(made: Sequence[Any], parts: Sequence[Component]) -> None:
    """Have loggers open their files before Lightning does, so that a failure is one sentence.

    Raises:
        GanlabError: If it cannot be written.
    """
    for logger, part in zip(made, parts, strict=True):
        try:
            _ = getattr(logger, "experiment", None)
        except OSError as error:
            raise GanlabError(f"{part.key} cannot be written: {error.strerror or error}.") from error
        except Exception as error:  # of a plug-in or a server
            raise GanlabError(f"{part.key} cannot begin: {type(error).__name__}: {sentence(error)}") from error


def _order(callback: L.Callback) -> float:
    order = getattr(callback, "order", ORDER)
    return order if isinstance(order, (int, float)) else ORDER


def _make(part: Component, run: RunContext) -> Any:
    given = {"run": run, "save_dir": run.folder, "root_dir": run.folder, "dir": run.folder}
    given["dirpath"] = run.folder / part.key.partition(".")[2]
    taken = schema.takes(part.maker).intersection(kinds.given(part.kind))
    try:
        made = part.make(**{name: given[name] for name in taken})
    except GanlabError:
        raise
    except ModuleNotFoundError as error:
        raise GanlabError(
            f"{part.key} needs a package that is not installed: pip install {error.name or sentence(error)}"
        ) from error
    except Exception as error:  # of a plug-in
        raise GanlabError(f"{part.key} cannot be made: {type(error).__name__}: {sentence(error)}") from error
    return _checked(made, part)


def _checked(made: Any, part: Component) -> Any:
    wanted = CLASSES[part.kind]
    if not isinstance(made, wanted):
        raise GanlabError(
            f"{part.key}: {type(made).__name__} is no {wanted.__module__}.{wanted.__name__}, and so is no {part.kind}; "
            f"this is for its author to fix."
        )
    return made


def _refuse_elsewhere(logger: Logger, key: str, folder: Path) -> None:
    """Refuse a logger that writes outside of the run's folder: the configuration may come from somebody else."""
    for name in ("save_dir", "root_dir", "log_dir"):
        try:
            where = getattr(logger, name, None)
        except Exception:  # known only when it has begun
            continue
        if isinstance(where, (str, Path)) and not Path(where).resolve().is_relative_to(folder.resolve()):
            raise GanlabError(f"{key}: its options lead to {where}, which is not in the run's folder.")
