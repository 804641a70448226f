"""A search for the best options: the curve of the best, and which options the objective depends on."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganlab.comparisons.answer import Study, Trial
from ganlab.comparisons.collected import DONE, SEED, RunFacts
from ganlab.core.errors import sentence
from ganlab.evaluation import scores
from ganlab.runs.sweeps import record
from ganlab.runs.sweeps.record import Sweep

_FEWEST = 4  # trials with an objective, for importance


def study(folder: Path, runs: Sequence[RunFacts]) -> Study | None:
    """Return what a searching sweep has found; None if the folder is that of no search, or no trial has ended.

    Args:
        folder: Of the sweep.
        runs: Its runs, in the order of the jobs.

    Raises:
        GanlabError: If the sweep's record is damaged.
    """
    if not record.is_sweep(folder):
        return None
    parsed = Sweep.read(folder).parsed
    scored = [run for run in runs if run.objective is not None]
    if not parsed.searches or not scored:
        return None
    chosen = scored[0].config.get("evaluate.metrics") or [""]
    name = parsed.options.objective or str(chosen[0])
    value: dict[str, Any] = next((r["values"][name] for run in scored for r in run.records if name in r["values"]), {})
    better = value.get("better", "lower")
    keys = [key for key in dict.fromkeys(key for run in runs for key in run.swept) if key != SEED]
    trials = [
        Trial(run.name, {k: v for k, v in run.swept.items() if k in keys}, run.objective, run.state) for run in runs
    ]
    best: list[float | None] = []
    losses = [scores.loss({"value": t.objective, "real": value.get("real"), "better": better}) for t in trials]
    for trial, loss in zip(trials, losses, strict=True):
        before = best[-1] if best else None
        best.append(trial.objective if loss < min(losses[: len(best)], default=math.inf) else before)
    importance, note = _importance(keys, [(t, loss) for t, loss in zip(trials, losses, strict=True) if t.state == DONE])
    return Study(name, better, keys, trials, best, importance, note)


def said(found: Study) -> str:
    """Return the outcome of a search in a sentence."""
    place = max(number for number, best in enumerate(found.best) if best is not None and best != _before(found, number))
    best = found.trials[place]
    options = ", ".join(f"{key}={value}" for key, value in best.values.items())
    return (
        f"The best of {len(found.trials)} trials has {found.objective} {best.objective:.4g} on the images that choose "
        f"checkpoints: {options}. It was chosen for that number, which flatters it: train it with several seeds."
    )


def _before(found: Study, number: int) -> float | None:
    return found.best[number - 1] if number else None


def _importance(keys: Sequence[str], trials: Sequence[tuple[Trial, float]]) -> tuple[dict[str, float], str]:
    """Return the importance of each option by Optuna, and how it was computed, or why there is none."""
    kept = [(trial, loss) for trial, loss in trials if math.isfinite(loss) and all(key in trial.values for key in keys)]
    varied = [key for key in keys if len({trial.values[key] for trial, _ in kept}) > 1]
    if len(kept) < _FEWEST or not varied:
        return {}, f"Importance needs {_FEWEST} trials with an objective, in which an option varies."
    try:
        import optuna
    except ImportError:
        return {}, "Importance needs Optuna: pip install optuna."
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {key: _distribution(optuna, [trial.values[key] for trial, _ in kept]) for key in varied}
    found = optuna.create_study()
    for trial, loss in kept:
        values: dict[str, Any] = {
            key: float(trial.values[key]) if _is_float(of) else trial.values[key] for key, of in distributions.items()
        }
        found.add_trial(optuna.trial.create_trial(params=values, distributions=distributions, value=loss))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an experimental evaluator
            shares = optuna.importance.get_param_importances(
                found, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
            )
    except Exception as error:  # of a library of others, about numbers that it cannot use
        return {}, f"Optuna gives no importance: {sentence(error)}"
    return dict(shares), "Importance for being among the better trials (PED-ANOVA, arXiv:2304.10255), by Optuna."


def _distribution(optuna: Any, values: Sequence[str]) -> Any:
    """Return the range of numbers, on a logarithmic scale if they span two decades, or the choices."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return optuna.distributions.CategoricalDistribution(sorted(set(values)))
    low, high = min(numbers), max(numbers)
    return optuna.distributions.FloatDistribution(low, high, log=low > 0 and high >= 100 * low)


def _is_float(distribution: Any) -> bool:
    return type(distribution).__name__ == "FloatDistribution"
