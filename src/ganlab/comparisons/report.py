"""report.html: an answer as a page, with its figures for a paper in a folder beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from ganlab.comparisons import bands, collapses, flat, paper_figures
from ganlab.comparisons.answer import Answer, Column, Estimate, Row, Study
from ganlab.comparisons.collected import SCORE, RunFacts
from ganlab.core import files
from ganlab.reports import grids, interactive
from ganlab.reports.interactive import Plot, Trace
from ganlab.reports.numbers import interval_on_page, on_page
from ganlab.reports.words import BETTER

FILE = "report.html"
_COLUMNS = 6  # scores in the first table
_PLOTS = 60
_OTHERS = "Speed, and what else was logged"
_ABSENT = "–"


def write(answer: Answer, folder: Path) -> list[Path]:
    """Write report.html and the figures into a folder, which is made if need be; return the paths.

    Raises:
        GanlabError: If they cannot be written.
    """
    notes = [*answer.notes, *bands.of_one_protocol(answer.rows)]
    sections = _sections(answer)
    columns = [(metric.name, which) for metric in answer.metrics for which in answer.whiches]
    for part in (folder, folder / paper_figures.FOLDER):  # a comparison that was killed leaves some
        files.clean(part)
    maps = [heat for column in columns[:_COLUMNS] if (heat := heat_map(answer, column))]
    figures = paper_figures.write(answer, [plot for _, plots in sections[:1] for plot in plots], maps, folder)
    rows, seeds = _grids(answer.rows)
    table = [_line(row, columns, answer.study) for row in answer.rows]
    path = interactive.save(
        folder / FILE,
        "report.html",
        {str(place): interactive.clock(*bands.clock(row)) for place, row in enumerate(answer.rows, start=1)},
        title=answer.title,
        answer=answer,
        notes=notes,
        columns=columns[:_COLUMNS],
        further=columns[_COLUMNS:],
        better={metric.name: BETTER.get(metric.better, "") for metric in answer.metrics},
        table=table,
        middles=any(line["middle"] != _ABSENT for line in table),
        differences=[difference for difference in answer.differences if difference.p is not None],
        costs=_costs(answer.rows),
        spans=_spans(answer.rows, columns[0]) if columns else [],
        maps=maps,
        sections=sections,
        rows=rows,
        seeds=seeds,
        runs=differing([run for row in answer.rows for run in row.runs]),
        figures=[(name, [str(path.relative_to(folder)) for path in paths]) for name, paths in figures.items()],
        study=None if answer.study is None else _study(answer.study),
    )
    return [path, *(path for paths in figures.values() for path in paths)]


def _line(row: Row, columns: Sequence[Column], study: Study | None) -> dict[str, Any]:
    """Return the cells of a row: each score with its interval, and the number of seeds."""
    trial = None if study is None else next((trial for trial in study.trials if trial.name == row.name), None)
    first = row.scores.get(columns[0]) if columns else None
    scores = [_score(row.scores.get(column), first) for column in columns]
    middle = _ABSENT if first is None else on_page(first.iqm, first.iqm_low, first.iqm_high)
    options = "" if trial is None else trial.options
    return {
        "name": row.name,
        "options": options,
        "scores": scores,
        "middle": middle,
        "seeds": first.n if first else 0,
    }


def _costs(rows: Sequence[Row]) -> list[tuple[str, str, list[str]]]:
    """Return what the scores took: heading, explanation, and a cell for each row; without columns that are empty."""
    columns = [
        ("images/s", "mean over the runs", [_whole(row.images_per_second) for row in rows]),
        ("seconds", "of training to the compared checkpoint", [_whole(row.seconds) for row in rows]),
        ("MiB", "largest memory of a process", [_whole(row.memory_mib) for row in rows]),
        ("failed", "runs without a score", [str(len(row.failures) or "") for row in rows]),
        ("collapsed", "runs, and the iteration in the mean", [collapses.summary(row.runs) for row in rows]),
    ]
    return [column for column in columns if set(column[2]) - {_ABSENT, ""}]


def _score(score: Estimate | None, first: Estimate | None = None) -> tuple[str, str]:
    """Return a score and its interval, with its number of runs if it is not that of the first column."""
    if score is None:
        return _ABSENT, ""
    runs = f"n = {score.n}" if first is not None and score.n != first.n else ""
    ends = " ".join(filter(None, [interval_on_page(score.low, score.high), runs]))
    return on_page(score.mean, score.low, score.high), ends


def _whole(value: float | None) -> str:
    return _ABSENT if value is None else f"{value:,.0f}"


def _spans(rows: Sequence[Row], column: Column) -> list[dict[str, Any] | None]:
    """Return for each row where its mean, its interval and its seeds lie on a common axis, in percent."""
    scores = [row.scores.get(column) for row in rows]
    ends = [end for score in scores if score for end in (score.low, score.high, score.mean, *score.per_seed.values())]
    known = [end for end in ends if end is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)

    def at(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2) if high > low else 50.0

    def span(score: Estimate | None) -> dict[str, Any] | None:
        if score is None:
            return None
        seeds = [(name, on_page(value), at(value)) for name, value in score.per_seed.items()]
        if score.low is None or score.high is None:
            return {"mean": at(score.mean), "low": None, "width": None, "seeds": seeds}
        width = round(at(score.high) - at(score.low), 2)
        return {"mean": at(score.mean), "low": at(score.low), "width": width, "seeds": seeds}

    return [span(score) for score in scores]


def heat_map(answer: Answer, column: Column) -> dict[str, Any] | None:
    """Return the score of each pair of values where two keys varied; None unless most pairs have one.

    The shade of a cell is 0 for the worst and 1 for the best.
    """
    if len(answer.by) != 2:
        return None
    down, across = (list(dict.fromkeys(row.values[key] for row in answer.rows)) for key in answer.by)
    found = {tuple(row.values.values()): score for row in answer.rows if (score := row.scores.get(column))}
    if min(len(down), len(across)) < 2 or 2 * len(found) <= len(down) * len(across):
        return None
    metric = next(metric for metric in answer.metrics if metric.name == column[0])
    losses = {pair: _loss(score.mean, metric.better, metric.real) for pair, score in found.items()}
    best, worst = min(losses.values()), max(losses.values())
    shades = {pair: (worst - loss) / (worst - best) if worst > best else 0.5 for pair, loss in losses.items()}
    down, across = (sorted(values, key=_natural) for values in (down, across))
    cells = {pair: (*_score(found.get(pair)), shades.get(pair)) for pair in product(down, across)}
    return {
        "title": " ".join(column),
        "note": BETTER.get(metric.better, ""),
        "keys": answer.by,
        "across": across,
        "rows": [(value, [cells[value, other] for other in across]) for value in down],
    }


def _natural(value: str) -> tuple[bool, float, str]:
    """Sort numbers by their size, before words."""
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value


def _loss(value: float, better: str, real: float | None) -> float:
    if better == "real":
        return abs(value - (real or 0.0))
    return -value if better == "higher" else value


def _sections(answer: Answer) -> list[tuple[str, list[Plot]]]:
    """Return the curves by group: scores first, then each player's scalars."""
    notes = {metric.name: BETTER.get(metric.better, "") for metric in answer.metrics}
    found: dict[str, list[Plot]] = {}
    for name in bands.names(answer.rows)[:_PLOTS]:
        traces = [bands.trace(row, name, place) for place, row in enumerate(answer.rows, start=1)]
        drawn = [trace for trace in traces if trace is not None]
        group, _, title = name.partition("/") if "/" in name else (_OTHERS, "", name)
        heading = "Scores during training" if name.startswith(SCORE) else group[:1].upper() + group[1:]
        if drawn:
            note = notes.get(title, "") if name.startswith(SCORE) else ""
            found.setdefault(heading, []).append(Plot(title, interactive.KIMG, drawn, note))
    return list(found.items())


def _grids(rows: Sequence[Row]) -> tuple[list[interactive.Row], list[str]]:
    """Return the grids of each configuration by seed, and the seeds, those of most configurations first."""
    runs = {(place, label): run for place, row in enumerate(rows) for label, run in _labelled(row)}
    having = {key: [(g.iteration, g.kimg, g.path) for g in run.grids] for key, run in runs.items() if run.grids}
    shown = grids.frames(having)
    seeds = list(dict.fromkeys(label for _, label in shown))
    seeds.sort(key=lambda seed: -sum((place, seed) in shown for place in range(len(rows))))
    found = [
        interactive.Row(row.name, {seed: shown[place, seed] for seed in seeds if shown.get((place, seed))})
        for place, row in enumerate(rows)
    ]
    return [row for row in found if row.seeds], seeds


def _labelled(row: Row) -> Iterator[tuple[str, RunFacts]]:
    """Return the runs of a row with their seed, or their name where several share it."""
    seeds = [run.seed for run in row.runs]
    for run in row.runs:
        yield (str(run.seed) if run.seed is not None and seeds.count(run.seed) == 1 else run.name), run


def differing(runs: Sequence[RunFacts]) -> list[dict[str, Any]]:
    """Return each run with those of its options and facts of its machine that are not the same in all runs."""
    facts = [
        {**{key: flat.shown(value) for key, value in run.config.items()}, **dict(_environment(run.environment))}
        for run in runs
    ]
    keys = list(dict.fromkeys(key for each in facts for key in each))
    varied = [key for key in keys if key != "run.dir" and len({each.get(key) for each in facts}) > 1]
    return [
        {"name": run.name, "values": {key: each[key] for key in varied if key in each}}
        for run, each in zip(runs, facts, strict=True)
    ]


def _environment(environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("python", "platform", "threads", "cuda"):
        if key in environment:
            yield f"machine: {key}", flat.shown(environment[key])
    for key in ("packages", "commits"):
        known = environment.get(key)
        if isinstance(known, Mapping):
            yield from ((f"{key}: {name}", flat.shown(value)) for name, value in known.items())


def _study(study: Study) -> dict[str, Any]:
    """Return a study as the page draws it: the best so far, importance, and a line for each trial."""
    numbers = list(range(len(study.trials)))
    tried = [trial.objective for trial in study.trials]
    best = Trace("best so far", numbers, study.best)
    each = replace(best, name="each trial", y=tried, place=2, labels=[trial.name for trial in study.trials])
    largest = max(study.importance.values(), default=0.0)
    return {
        "plot": Plot(study.objective, "trial", [best, each], BETTER.get(study.better, "")),
        "importance": [
            (key, f"{100 * share:.0f} %", round(100 * share / largest, 1) if largest else 0.0)
            for key, share in sorted(study.importance.items(), key=lambda item: -item[1])
        ],
        "note": study.note,
        "parallel": {
            "keys": study.keys,
            "logarithmic": study.logarithmic,
            "objective": study.objective,
            "trials": [  # the best one last
                {"name": trial.name, "values": trial.values, "objective": trial.objective}
                for trial in sorted(study.trials, key=lambda trial: -trial.loss)
                if trial.objective is not None
            ],
        },
    }
