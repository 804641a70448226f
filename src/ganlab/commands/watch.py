"""``ganlab watch RUN``: instruments on the checkpoints of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from ganlab.commands.coded import Coded
from ganlab.commands.command import AS_TYPED, PATH, RUN, Command, Passed

MOST = 12  # numbers of a checkpoint that are printed


@dataclass
class Watch(Coded, Command):
    """Measure checkpoints of a run with instruments: the numbers that training with watch= logs.

      ganlab watch RUN what=spectra,diversity checkpoint=all

    They go to watch.jsonl in the run, a line for each checkpoint; those of layers only there.

    Args:
        what: spectra, gradients, memorization, diversity, lipschitz, equilibrium; null: those that the run has
        checkpoint: last, best, all, an iteration, or the name or path of a file; RUN may be such a file itself
        device: cpu, cuda, cuda:1, mps; auto: a GPU if there is one
        more: see `ganlab show watch NAME`
    """

    run_folder: Annotated[str, RUN]
    what: Annotated[str | None, AS_TYPED] = None
    checkpoint: Annotated[str | int, PATH] = "last"
    device: str = "auto"
    more: Annotated[Sequence[str], Passed(("*.*",), "INSTRUMENT.OPTION=", offers=())] = ()

    def __call__(self) -> int:
        from ganlab.config import command_line
        from ganlab.core import files
        from ganlab.runs import choice, measuring

        folder, which = choice.named(self.run_folder, self.checkpoint)
        names = None if self.what is None else [n.strip() for n in self.what.strip("[]'\"").split(",") if n.strip()]
        options: dict[str, dict[str, Any]] = {}
        for override in command_line.parse(self.more):
            name, _, option = override.get_key_element().partition(".")
            options.setdefault(name, {})[option] = override.value()
        measuring.measure(folder, names, options, which=which, device=choice.device(self.device), say=_say)
        print(f"all numbers: {files.typed(folder / measuring.FILE)}")
        return 0


def _say(line: Mapping[str, Any]) -> None:
    """Print the numbers of a checkpoint but for those of layers."""
    numbers = {name: value for name, value in line.items() if "/" in name}
    shown = [f"{name} {value:.4g}" for name, value in numbers.items() if name.count("/") < 3][:MOST]
    if len(shown) < len(numbers):
        shown.append(f"{len(numbers) - len(shown)} others")
    print(f"iteration {line['iteration']} ({line['checkpoint']}): {', '.join(shown)}", flush=True)
