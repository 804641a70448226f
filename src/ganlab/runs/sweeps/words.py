"""The words of a sweep's command line by their kind: of its runs, of the sweep, of Hydra's launcher and sweeper."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Glob, Override

from ganlab.config import command_line, schema
from ganlab.config.sections import RunOptions, SweepOptions
from ganlab.core import code_files
from ganlab.core.errors import GanlabError, suggestion
from ganlab.runs.sweeps import plugins

LAUNCHER, SWEEPER = "hydra/launcher", "hydra/sweeper"
_FOLDER = "run.dir"
_NAMES = ("hydra.sweeper.sampler",)  # options that take a name of ganlab's own
_UNDER = ("hydra.launcher.", "hydra.sweeper.")


@dataclass(frozen=True)
class Words:
    """A command line, taken apart.

    Args:
        runs: Options of the runs, those with several values among them.
        hydra: Words about Hydra's launcher and sweeper.
        options: ``sweep.*``.
        folder: ``run.dir``, or None.
    """

    runs: tuple[Override, ...]
    hydra: tuple[Override, ...]
    options: SweepOptions
    folder: str | None

    @property
    def swept(self) -> tuple[Override, ...]:
        """The options with several values."""
        return tuple(o for o in self.runs if varies(o))

    @property
    def launcher(self) -> str:
        """The name of Hydra's launcher."""
        return self._named(LAUNCHER, plugins.OWN)

    @property
    def sweeper(self) -> str:
        """The name of Hydra's sweeper."""
        return self._named(SWEEPER, plugins.GRID)

    @property
    def searches(self) -> bool:
        """Tell if a sweeper chooses the values by the objectives of earlier jobs."""
        return self.sweeper != plugins.GRID

    @property
    def needs_objective(self) -> bool:
        """Tell if a job without an objective has failed."""
        return self.searches or self.options.objective is not None

    def of_job(self, values: Mapping[str, str]) -> list[str]:
        """The words of the run with these values, key -> value, of what varies."""
        taken = {plain_key(o): o for o in self.runs}
        fixed = [_line(o) for o in self.runs if plain_key(o) not in values and not varies(o)]
        return fixed + [f"{_prefix(taken.get(key))}{key}={value}" for key, value in values.items()]

    def _named(self, group: str, default: str) -> str:
        return next((str(o.value()) for o in reversed(self.hydra) if o.key_or_group == group), default)


def split(words: Sequence[str]) -> Words:
    """Take the words after ``-m`` apart.

    Raises:
        GanlabError: For a wrong ``sweep.*`` or ``run.dir``, a word about Hydra that cannot be set, and an option that
            is given twice.
    """
    parsed = command_line.parse(words)
    of_sweep = [o for o in parsed if plain_key(o).partition(".")[0] == "sweep"]
    of_hydra = [o for o in parsed if is_hydras(plain_key(o))]
    folder = [o for o in parsed if plain_key(o) == _FOLDER]
    runs = [o for o in parsed if o not in (*of_sweep, *of_hydra, *folder)]
    for override in (*of_sweep, *of_hydra, *folder):
        if override.is_sweep_override():
            raise GanlabError(f"{override.input_line}: a sweep has one {plain_key(override)}, and not several values.")
    for override in of_hydra:
        _refuse_hydras_own(override)
    keys = [plain_key(o) for o in runs]
    twice = next((plain_key(o) for o in runs if varies(o) and keys.count(plain_key(o)) > 1), None)
    if twice is not None:
        raise GanlabError(f"{twice} is given twice, once with several values: name all of its values once.")
    named = _checked(RunOptions, folder, "run").get("dir")
    return Words(tuple(runs), tuple(of_hydra), SweepOptions(**_checked(SweepOptions, of_sweep, "sweep")), named)


def with_changes(words: Sequence[str], changes: Sequence[str]) -> list[str]:
    """The words of a sweep that is resumed with others: how it runs may change, and never what.

    Raises:
        GanlabError: For a change of what is run, and for words of a damaged or foreign record that are not trusted.
    """
    allowed = ("sweep.jobs", "sweep.fail", "sweep.trials", LAUNCHER)
    changed = command_line.parse(changes)
    for override in changed:
        key = plain_key(override)
        if not (key in allowed or key.startswith("hydra.")):
            near = suggestion(key, allowed) if key.startswith(("sweep", "hydra")) else ""
            raise GanlabError(
                f"{key} cannot change in a sweep that has begun: it goes on with the values that it began with. "
                f"{', '.join(allowed)} and hydra.launcher.* can.{near}"
            )
    given = {plain_key(o) for o in changed}
    kept = [o for o in command_line.parse(words) if plain_key(o) not in given]
    if LAUNCHER in given:  # its options are no other launcher's
        kept = [o for o in kept if not plain_key(o).startswith(_UNDER[0])]
    for override in kept:
        if not _is_trusted(override):
            line = shlex.quote(_line(override))
            raise GanlabError(
                f"{plain_key(override)} of a stored sweep may start anything, and is not taken from it: if it is "
                f"yours, name it again, as `ganlab resume SWEEP {line}`."
            )
    return [*map(_line, kept), *map(_line, changed)]


def values(overrides: Iterable[str]) -> dict[str, str]:
    """Options of a job as Hydra gives them, key -> value; without what `ganlab.runs.sweeps.sweep` tells its process."""
    parsed = {plain_key(o): o for o in command_line.parse(overrides)}
    return {key: str(o.get_value_element_as_str()) for key, o in parsed.items() if key != code_files.OPTION}


def varies(override: Override) -> bool:
    """Tell if an option has several values."""
    return override.is_sweep_override() or isinstance(override.value(), Glob)


def plain_key(override: Override) -> str:
    """The key without ``+`` or ``~`` before it."""
    return str(override.get_key_element()).lstrip("+~")


def is_hydras(key: str) -> bool:
    """Tell if a key is one of Hydra's own configuration."""
    return key == "hydra" or key.startswith(("hydra.", "hydra/"))


def of_sweep(words: Iterable[str]) -> list[str]:
    """The keys that only a sweep has: they have no meaning for one run."""
    keys = [word.partition("=")[0].lstrip("+~") for word in words]
    return [key for key in keys if key.partition(".")[0] == "sweep" or is_hydras(key)]


def _checked(section: type, overrides: Sequence[Override], key: str) -> dict[str, Any]:
    values = {plain_key(o).partition(".")[2]: o.value() for o in overrides}
    found, problems = schema.check(schema.options(section), values, key)
    if problems:
        raise GanlabError(" ".join(problems))
    return found


def _refuse_hydras_own(override: Override) -> None:
    key = plain_key(override)
    if key in (LAUNCHER, SWEEPER):
        plugins.refuse_missing(key.rpartition("/")[2], str(override.value()))
    elif key.startswith(("hydra.sweeper.params", "hydra.sweeper.search_space")):
        raise GanlabError(f"{key}: type what varies as options of the run, such as reg=none,sn.")
    elif not key.startswith(_UNDER) or key.endswith("._target_"):
        raise GanlabError(
            f"{key} cannot be set: of Hydra's own options only {LAUNCHER}=NAME, {SWEEPER}=NAME, hydra.launcher.OPTION "
            f"and hydra.sweeper.OPTION can, and run.dir names the folder of the sweep."
        )


def _is_trusted(override: Override) -> bool:
    """Tell if a word may be taken from a sweep's record, which may be somebody else's."""
    key, value = plain_key(override), override.value()
    if "${" in _line(override):
        return False
    if key in _NAMES:
        return str(value).isidentifier()
    return not key.startswith(_UNDER) or (isinstance(value, (bool, int, float)) and not key.endswith("._target_"))


def _line(override: Override) -> str:
    return str(override.input_line)


def _prefix(override: Override | None) -> str:
    line = "" if override is None else _line(override)
    return line[: len(line) - len(line.lstrip("+"))]
