"""The time that each regularizer adds to an iteration of the same run."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from ganlab.assembly import experiment
from ganlab.bench.iteration import components, synchronize, title
from ganlab.config.configuration import Config
from ganlab.core.errors import GanlabError


class Engine:
    """Iterations of an experiment without Lightning: the engine's own time, batches included.

    Args:
        built: Its module must not have been trained.
        device: Where to play.
    """

    def __init__(self, built: experiment.Experiment, device: torch.device | str = "cpu") -> None:
        self.module = built.module.to(device)
        self.module.begin()
        self._batches = iter(experiment.loader(built, torch.device(device)))

    def iterate(self) -> None:
        self.module.iterate(next(self._batches))

    def seconds(self) -> float:
        """Return the seconds of one iteration."""
        synchronize(self.module.device)
        started = time.perf_counter()
        self.iterate()
        synchronize(self.module.device)
        return time.perf_counter() - started


def measure(
    config: Config, names: Sequence[str], *, together: bool, warmup: int, iterations: int, repeats: int
) -> dict[str, Any]:
    """Play the same run with and without each regularizer, iteration by iteration in turns.

    Args:
        config: Of a run with all of them.
        names: Those to be compared.
        together: True: the run has all of ``names``, and each is left out once. False: it has none of them,
            and each is put in once.
        warmup: Iterations of each run that are not counted.
        iterations: Iterations of a repeat, rounded up so that each lazy turn is played equally often.
        repeats: One ratio of times comes from each; the median, the least and the largest are reported.

    Returns:
        For programs, see `report`. ``share`` is 1 - 1/ratio, of the time of the run with the regularizer.
        ``needed`` says why a run of regularizers cannot do without one of them.

    Raises:
        GanlabError: If one of the runs cannot be trained.
    """
    of_all = list(config.of("reg"))
    missing = [name for name in names if name not in of_all]
    if missing or not names:
        raise GanlabError(f"There is no regularizer {', '.join([*missing, 'to compare'])}: name some, as reg=sn,r1.")
    common = of_all if together else [name for name in of_all if name not in names]
    engines, needed = _engines(config, names, common, together)
    iterations, seconds = _timed(engines, warmup, iterations, repeats)
    return {
        "run": sorted(common),
        "together": together,
        **components(config),
        "batch_size": config.data.batch_size,
        "device": str(engines[""].module.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "iterations_measured": iterations * repeats,
        "seconds_per_iteration": statistics.median(seconds[""]),
        "regularizers": {name: _compared(seconds[name], seconds[""], together) for name in names if name in engines},
        "needed": needed,
    }


def _engines(
    config: Config, names: Sequence[str], common: Sequence[str], together: bool
) -> tuple[dict[str, Engine], dict[str, str]]:
    """The run of ``common`` regularizers, by the name "", and that with each one left out or put in; and why a run
    cannot do without one."""
    engines, needed = {"": _engine(config, common)}, {}
    for name in names:
        chosen = [n for n in config.of("reg") if (n != name if together else n == name or n in common)]
        try:
            engines[name] = _engine(config, chosen)
        except GanlabError as error:
            if together:
                needed[name] = str(error)
            elif len(names) > 1:
                raise GanlabError(
                    f"{error} Here each is measured alone; for regularizers that need others: "
                    f"reg=[{','.join(names)}] compare=reg."
                ) from error
            else:
                raise
    if len(engines) == 1:
        raise GanlabError(f"No regularizer can be left out of this run: {' '.join(needed.values())}")
    return engines, needed


def _timed(
    engines: dict[str, Engine], warmup: int, iterations: int, repeats: int
) -> tuple[int, dict[str, list[float]]]:
    """Iterations of a repeat, and of each engine the seconds of an iteration by repeat."""
    every = math.lcm(*(turn.every for engine in engines.values() for turn in engine.module.game.all_turns()))
    iterations = -(-iterations // every) * every
    for engine in engines.values():
        for _ in range(-(-warmup // every) * every):  # all are at the same place of their lazy turns
            engine.iterate()
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(repeats):
        sums = dict.fromkeys(engines, 0.0)
        for _ in range(iterations):
            for name, engine in engines.items():
                sums[name] += engine.seconds()
        for name, total in sums.items():
            seconds[name].append(total / iterations)
    return iterations, seconds


def _engine(config: Config, regularizers: Sequence[str]) -> Engine:
    device = "cuda" if torch.cuda.is_available() and config.trainer.get("accelerator") != "cpu" else "cpu"
    others = {f"reg.{name}" for name in config.of("reg") if name not in regularizers}
    chosen = {key: part for key, part in config.components.items() if key not in others}
    return Engine(experiment.build(replace(config, components=chosen)), device)


def _compared(varied: list[float], common: list[float], together: bool) -> dict[str, float]:
    with_it, without = (common, varied) if together else (varied, common)
    ratios = sorted(a / b for a, b in zip(with_it, without, strict=True))
    ratio = statistics.median(ratios)
    return {
        "seconds_with": statistics.median(with_it),
        "seconds_without": statistics.median(without),
        "ratio": ratio,
        "smallest_ratio": ratios[0],
        "largest_ratio": ratios[-1],
        "share": 1 - 1 / ratio,
    }


def report(result: dict[str, Any]) -> str:
    """A table for people and one line of JSON for programs."""
    what = "without one of" if result["together"] else "with one more than"
    heading = (
        f"{title(result)}, batch {result['batch_size']}, "
        f"{result['device']} ({result['threads']} threads), torch {result['torch']}\n"
        f"each in turns with the same run without it: the run {what} reg {', '.join(result['run']) or 'none'}, "
        f"{result['iterations_measured']} iterations"
    )
    width = max(map(len, ("regularizer", *result["regularizers"], *result["needed"])))
    rows = [f"{'regularizer':<{width}}  with it, ms  without, ms  ratio (smallest to largest)  share of the iteration"]
    for name, found in result["regularizers"].items():
        ratio = f"{found['ratio']:.3f} ({found['smallest_ratio']:.3f} to {found['largest_ratio']:.3f})"
        rows.append(
            f"{name:<{width}}  {1e3 * found['seconds_with']:>11.2f}  {1e3 * found['seconds_without']:>11.2f}  "
            f"{ratio:<27}  {100 * found['share']:>20.1f} %"
        )
    rows += [f"{name:<{width}}  cannot be left out: {why}" for name, why in result["needed"].items()]
    return "\n".join([heading, *rows, json.dumps(result)])
