"""Print a sweep of BigGAN's ablation in the form of table 1 of arXiv:1809.11096.

    python examples/ablation/table.py SWEEP [protocol]

FID and Inception Score are mean ± standard deviation over seeds, of the best checkpoint where all runs kept one, else
of the last, on images that chose no checkpoint; of a run that collapsed, the last is that from before, as in the paper.
Runs that were not scored are scored first. Itr is the iteration (in thousands) at which runs collapsed,
and ``>N`` where none did in N. Parameters are those of generator and discriminator, in millions.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

from ganlab.assembly import experiment
from ganlab.comparisons import collapses, compare
from ganlab.comparisons.answer import Answer, Row
from ganlab.comparisons.collected import RunFacts
from ganlab.comparisons.groups import Wanted
from ganlab.core.errors import GanlabError
from ganlab.runs import run_folder

HEAD = ("Batch", "Ch.", "Param (M)", "Shared", "Hier.", "Ortho.", "Itr x 10^3", "FID", "IS")


def main(sweep: str, protocol: str | None) -> None:
    wanted = Wanted(metrics=("fid", "is"), protocol=protocol, say=lambda line: print(line, file=sys.stderr))
    try:
        print(table(compare.compare([sweep], wanted=wanted)))
    except GanlabError as error:
        sys.exit(f"no table: {error}")


def table(answer: Answer) -> str:
    """Return the table as Markdown: a row a configuration, in the order of the jobs."""
    order = {run.folder: place for place, run in enumerate(_by_number(answer))}
    rows = sorted(answer.rows, key=lambda row: min(order[run.folder] for run in row.runs))
    lines = [HEAD, ("---:",) * len(HEAD), *(_cells(row, answer.whiches[0]) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _by_number(answer: Answer) -> list[RunFacts]:
    """The runs in the order of the sweep: folders begin with the number of the job."""
    runs = [run for row in answer.rows for run in row.runs]
    return sorted(runs, key=lambda run: (len(run.folder.name.split("_")[0]), run.folder.name))


def _cells(row: Row, which: str) -> tuple[str, ...]:
    config = row.runs[0].config
    ticks = (
        config["generator.shared_embedding"],
        config["generator.hierarchical"],
        "ortho" in str(config["reg"]).strip("[]").split(","),
    )
    return (
        str(config["data.batch_size"]),
        str(config["generator.width"]),
        f"{parameters(row.runs[0]) / 1e6:.3g}",
        *("yes" if tick else "-" for tick in ticks),
        iterations(row.runs),
        *(_score(row, metric, which) for metric in ("fid", "is")),
    )


def _score(row: Row, metric: str, which: str) -> str:
    found = row.scores.get((metric, which))
    if found is None:
        return "-"
    return f"{found.mean:.2f}" + ("" if found.deviation is None else f" ± {found.deviation:.2f}")


def iterations(runs: Sequence[RunFacts]) -> str:
    """The iterations until collapse, in thousands, mean ± standard deviation; or ``>N``."""
    collapsed = [iteration / 1000 for iteration in collapses.iterations(runs)]
    if not collapsed:
        return f">{max(run.iteration for run in runs) / 1000:g}"
    deviation = f" ± {statistics.stdev(collapsed):.3g}" if len(collapsed) > 1 else ""
    some = f" ({len(collapsed)} of {len(runs)})" if len(collapsed) < len(runs) else ""
    return f"{statistics.mean(collapsed):.3g}{deviation}{some}"


def parameters(run: RunFacts) -> int:
    """Count the parameters of generator and discriminator of a run."""
    game = experiment.build(run_folder.read_config(run.folder), with_data=False).module.game
    networks = (game.get_submodule(name) for name in ("generator", "discriminator"))
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
