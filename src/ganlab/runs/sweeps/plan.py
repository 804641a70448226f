"""The jobs of a sweep, checked before the first one starts."""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Sequence
from itertools import islice

from hydra.core.override_parser.types import Glob, IntervalSweep, Override, Sweep

from ganlab.config import catalog, configuration
from ganlab.config.configuration import Config
from ganlab.core import code_files
from ganlab.core.errors import GanlabError
from ganlab.runs import around, inherited, trainer
from ganlab.runs.sweeps import devices, job, objective, plugins
from ganlab.runs.sweeps.words import Words, plain_key, split, values, varies

_MOST = 10_000  # values of one option
_SHARES_NO_GPUS = ("joblib", "submitit_local")  # launchers whose jobs would all take the first GPU


def settled(typed: Sequence[str]) -> list[str]:
    """The words of a sweep, those that would give other values the next time replaced by the values that they give now:
    ``glob(...)``, which depends on what is installed, and ``shuffle(...)``.
    """
    found = []
    for override in split(typed).swept:
        if isinstance(override.value(), Glob) or _is_shuffled(override):
            key, _, _ = str(override.input_line).partition("=")
            found.append((str(override.input_line), f"{key}={','.join(_values(override))}"))
    replaced = dict(found)
    return [replaced.get(word, word) for word in typed]


def check(words: Words) -> None:
    """Compose each value of the sweep once, so that a mistake in the last job stops the first.

    Raises:
        GanlabError: If a value is wrong, or the jobs cannot run as the sweep asks for.
    """
    inherited.options([str(o.input_line) for o in words.runs])  # refuses several runs to begin with
    listed = {plain_key(o): _values(o) for o in words.swept if _enumerable(o)}
    for override in words.swept:
        if override.is_interval_sweep() and not words.searches:
            key = plain_key(override)
            raise GanlabError(
                f"{override.input_line}: an interval is for a sweeper that searches it, as hydra/sweeper=optuna does; "
                f"name the values, as {key}=0.1,0.3,1."
            )
    if words.searches:
        listed |= {plain_key(o): _ends(o) for o in words.swept if o.is_interval_sweep()}
        if not words.swept:
            raise GanlabError(
                f"hydra/sweeper={words.sweeper} has nothing to search: give an option several values, as "
                f"'optimizer.generator.lr=tag(log,interval(1e-5,1e-3))' or reg=none,sn."
            )
        search = plugins.KNOWN["sweeper"].get(words.sweeper, plugins.Plugin()).search
        if search:
            importlib.import_module(search).check(words)
    first = {key: found[0] for key, found in listed.items()}
    trials = [first] + [{**first, key: value} for key, found in listed.items() for value in found[1:]]
    names: list[str] = []
    for trial in trials:
        config = job.composed(words, trial)
        _check_run(config, words)
        names += [name for _, name in configuration.component_names(config.plain())]
    code_files.refuse_unused(names, "the sweep")


def jobs(words: Words) -> list[dict[str, str]]:
    """The values of every job, in the order of Hydra's grid; empty for a sweeper that chooses them as it goes."""
    if words.searches or not all(_enumerable(o) for o in words.swept):
        return []
    lists = [[f"{_line_key(o)}={value}" for value in _values(o)] for o in words.swept]
    return [values(options) for options in itertools.product(*lists)]


def for_hydra(words: Words) -> list[str]:
    """Return what varies, as Hydra takes it: it adds the keys to a configuration that has none of a run's options."""
    found = []
    for override in words.swept:
        text = ",".join(_values(override)) if isinstance(override.value(), Glob) else str(override.input_line)
        found.append(f"++{plain_key(override)}={text.partition('=')[2] if '=' in text else text}")
    return found


def launching(words: Words) -> list[str]:
    """The words for Hydra's launcher and sweeper: what ganlab has ready for them, and after it what was typed."""
    launcher = plugins.KNOWN["launcher"].get(words.launcher, plugins.Plugin())
    found = list(launcher.ready)
    if launcher.jobs and words.options.jobs is not None and not words.searches:  # a search launches job by job
        found.append(f"{launcher.jobs}={words.options.jobs}")
    typed = [str(o.input_line) for o in words.hydra]
    return [*found, *(f"++{word}" if word.startswith("hydra.sweeper.") else word for word in typed)]


def _check_run(config: Config, words: Words) -> None:
    trainer.check(config.trainer)
    around.check(config)
    if words.needs_objective:
        objective.refuse_unscored(config, words.options.objective)
    there = len(devices.gpus())
    need = devices.needed(config.trainer, there)
    several = words.options.jobs not in (None, 1) or words.launcher in _SHARES_NO_GPUS
    if need and devices.names_gpus(config.trainer) and several:
        raise GanlabError(
            f"trainer.devices={config.trainer['devices']} names the same GPUs for all jobs: give their number, as "
            f"trainer.devices={need}, and every job has others, or take sweep.jobs=1."
        )
    if need and words.launcher in _SHARES_NO_GPUS:
        raise GanlabError(
            f"hydra/launcher={words.launcher} gives the first GPU to every job: leave it out and take sweep.jobs=N, "
            f"which shares them out, or train on the CPU with trainer.accelerator=cpu."
        )
    if words.launcher == plugins.OWN:
        devices.at_a_time(words.options.jobs, [need], there, devices.cores())


def _ends(override: Override) -> list[str]:
    """The least and the largest value of an interval."""
    interval = override.value()
    assert isinstance(interval, IntervalSweep)
    low, high = interval.start, interval.end
    line = str(override.input_line)
    unknown = sorted(interval.tags - {"log"})
    if unknown:
        raise GanlabError(f"{line}: there is no tag {unknown[0]!r}, only log.")
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise GanlabError(f"{line}: an interval is interval(LOW,HIGH), two finite numbers in order.")
    if interval.tags and low <= 0:
        raise GanlabError(f"{line}: the logarithm needs positive numbers, got {low:g}.")
    return [repr(low), repr(high)]


def _values(override: Override) -> list[str]:
    glob = override.value()
    if isinstance(glob, Glob):
        return _matching(override, glob)
    found = [str(value) for value in islice(override.sweep_string_iterator(), _MOST + 1)]
    if not 0 < len(found) <= _MOST:
        raise GanlabError(f"{override.input_line} has {'no values' if not found else f'more than {_MOST:,} values'}.")
    return found


def _matching(override: Override, glob: Glob) -> list[str]:
    """The choices that a pattern such as ``loss=glob(wgan*)`` names."""
    known = [choice.name for choice in catalog.choices(plain_key(override).partition("/")[0])]
    found = [str(name) for name in glob.filter(known)]
    if not found:
        raise GanlabError(f"{override.input_line} matches nothing. Known: {', '.join(known) or catalog.NONE}.")
    return found


def _enumerable(override: Override) -> bool:
    """Tell if the values can be listed before a sweeper chooses them: those of an interval cannot."""
    return varies(override) and (isinstance(override.value(), Glob) or override.is_discrete_sweep())


def _is_shuffled(override: Override) -> bool:
    value = override.value()
    return isinstance(value, Sweep) and bool(getattr(value, "shuffle", False))


def _line_key(override: Override) -> str:
    return f"++{plain_key(override)}"
