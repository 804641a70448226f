"""A search for the best options: the curve of the best, and which options the objective depends on."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import IntervalSweep

from ganlab.comparisons.answer import Answer, Study, Trial
from ganlab.comparisons.collected import DONE, SEED, RunFacts
from ganlab.core.errors import sentence
from ganlab.evaluation import scores
from ganlab.reports.numbers import number
from ganlab.reports.words import called, counted
from ganlab.runs.sweeps import record
from ganlab.runs.sweeps.record import Sweep
from ganlab.runs.sweeps.words import Words, plain_key

_FEWEST = 4  # trials with an objective, for importance


def search(folder: Path) -> Words | None:
    """Return the words of a search; None if the folder is that of none.

    Raises:
        GanlabError: If the sweep's record is damaged.
    """
    parsed = Sweep.read(folder).parsed if record.is_sweep(folder) else None
    return parsed if parsed is not None and parsed.searches else None


def name_trials(runs: Sequence[RunFacts]) -> None:
    """Call the runs of a search ``trial 0``, ``trial 1``, ... as their jobs are numbered."""
    for run in runs:
        run.name = f"trial {run.folder.name.partition('_')[0]}"


def study(parsed: Words, runs: Sequence[RunFacts]) -> Study | None:
    """Return what a search has found; None if no trial has an objective.

    Args:
        parsed: Of the search.
        runs: Its runs, in the order of the jobs.
    """
    scored = [run for run in runs if run.objective is not None]
    if not scored:
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
    leader = Trial("", {}, None, "")
    for trial in trials:
        trial.loss = scores.loss({"value": trial.objective, "real": value.get("real"), "better": better})
        leader = trial if trial.loss < leader.loss else leader
        best.append(leader.objective)
    logarithmic = [key for key in keys if _is_logarithmic(key, parsed, trials)]
    importance, note = _importance(keys, [trial for trial in trials if trial.state == DONE], logarithmic)
    return Study(name, better, keys, trials, best, importance, note, logarithmic)


def best_trial(found: Study) -> Trial:
    """Return the best trial, the first of several."""
    return min(found.trials, key=lambda trial: trial.loss)


def said(found: Study, answer: Answer) -> list[str]:
    """Return the outcome of a search: the best trial by the objective, its options, and its scores on other images."""
    best, metric, which = best_trial(found), answer.metrics[0], answer.whiches[0]
    name = called(found.objective)
    sentences = [
        f"{best.name.capitalize()} has the best {name} of {counted(len(found.trials), 'trial')}: {best.objective:.4g}.",
        f"{best.options}.",
        "That is on the images that choose checkpoints, and chosen for that number, which flatters it: train it with "
        "several seeds.",
    ]
    scores_of = {row.name: score.mean for row in answer.rows if (score := row.scores.get((metric.name, which)))}
    if best.name in scores_of:
        leads = answer.rows[0].name
        lead = (
            "which is the best there too"
            if leads == best.name
            else f"the best there is that of {leads}, {number(scores_of[leads])}"
        )
        sentences.append(
            f"On images that chose nothing its {called(metric.name)} is {number(scores_of[best.name])}, {lead}."
        )
    return sentences


def _is_logarithmic(key: str, parsed: Words, trials: Sequence[Trial]) -> bool:
    """Tell if an axis is logarithmic: a key that was searched so, or whose numbers span two decades."""
    for override in parsed.swept:
        value = override.value()
        if plain_key(override) == key and isinstance(value, IntervalSweep) and "log" in value.tags:
            return True
    try:
        numbers = [float(trial.values[key]) for trial in trials if key in trial.values]
    except ValueError:
        return False
    return bool(numbers) and min(numbers) > 0 and max(numbers) >= 100 * min(numbers)


def _importance(
    keys: Sequence[str], trials: Sequence[Trial], logarithmic: Sequence[str]
) -> tuple[dict[str, float], str]:
    """Return the importance of each option by Optuna, and how it was computed, or why there is none."""
    kept = [trial for trial in trials if math.isfinite(trial.loss) and all(key in trial.values for key in keys)]
    varied = [key for key in keys if len({trial.values[key] for trial in kept}) > 1]
    if len(kept) < _FEWEST or not varied:
        return {}, f"Importance needs {_FEWEST} trials with an objective, in which an option varies."
    try:
        import optuna
    except ImportError:
        return {}, "Importance needs Optuna: pip install optuna."
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {
        key: _distribution(optuna, [trial.values[key] for trial in kept], key in logarithmic) for key in varied
    }
    found = optuna.create_study()
    for trial in kept:
        values: dict[str, Any] = {
            key: float(trial.values[key]) if _is_float(of) else trial.values[key] for key, of in distributions.items()
        }
        found.add_trial(optuna.trial.create_trial(params=values, distributions=distributions, value=trial.loss))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an experimental evaluator
            shares = optuna.importance.get_param_importances(
                found, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
            )
    except Exception as error:  # of a library of others, about numbers that it cannot use
        return {}, f"Optuna gives no importance: {sentence(error)}"
    return dict(shares), "Importance for being among the better trials (PED-ANOVA, arXiv:2304.10255), by Optuna."


def _distribution(optuna: Any, values: Sequence[str], logarithmic: bool) -> Any:
    """Return the range of numbers, or the choices."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return optuna.distributions.CategoricalDistribution(sorted(set(values)))
    return optuna.distributions.FloatDistribution(min(numbers), max(numbers), log=logarithmic)


def _is_float(distribution: Any) -> bool:
    return type(distribution).__name__ == "FloatDistribution"
