"""``ganlab bench``: the speed of a training iteration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, cast

from ganlab.bench.settings import Settings
from ganlab.commands.coded import Coded
from ganlab.commands.command import Command, Passed
from ganlab.core import code_files
from ganlab.core.errors import GanlabError


@dataclass
class Bench(Settings, Coded, Command):
    """Measure the speed of a training iteration.

    Takes the options of `ganlab train`, and its own:

    Args:
        overrides: each one alone against the same run without any of them

    Prints images/s (real images consumed by the discriminator), seconds per iteration, the share of
    each part, peak memory and parameters, and the same as one line of JSON.

      ganlab bench model=biggan data.image_size=32
      ganlab bench compare=plain
      ganlab bench reg=sn,ortho,r1
      ganlab bench reg=[sn,r1] compare=reg
    """

    overrides: Annotated[Sequence[str], Passed(shown="reg=a,b,c", several=True)] = ()

    def __call__(self) -> int:
        from ganlab.bench import iteration, regularizer_cost
        from ganlab.config import compose

        others, alone = _alone(self.overrides)
        if alone is None and self.compare != "reg":
            print(iteration.report(iteration.run(_used(compose.read(others)), self)))
            return 0
        if alone is not None and self.compare is not None:
            raise GanlabError(f"compare={self.compare} does not go with reg=a,b,c: ask for one of them at a time.")
        read = _used(compose.read(others))
        counts = {"warmup": self.warmup, "iterations": self.iterations, "repeats": self.repeats}
        names = list(read.of("reg")) if alone is None else alone
        print(regularizer_cost.report(regularizer_cost.measure(read, names, together=alone is None, **counts)))
        return 0


def _used(config: Any) -> Any:
    """Return a configuration that uses the files that were named.

    Raises:
        GanlabError: If it uses none of one.
    """
    code_files.refuse_unused([part.name for part in config.components.values()], "the run")
    return config


def _alone(overrides: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Return the options of a run, and the regularizers of reg=a,b,c, which are compared with ``none``."""
    from hydra.core.override_parser.types import ChoiceSweep

    from ganlab.config import command_line

    others: list[str] = []
    alone: list[str] | None = None
    for override in command_line.parse(overrides):
        if override.get_key_element() != "reg" or not override.is_choice_sweep():
            others.append(str(override.input_line))
            continue
        elements: list[Any] = cast(ChoiceSweep, override.value()).list
        if not all(isinstance(element, str) for element in elements):
            raise GanlabError("reg=a,b,c compares single regularizers; for those of one run: reg=[a,b] compare=reg.")
        alone = [element for element in elements if element != "none"]
        others.append(f"reg=[{','.join(alone)}]")
    return others, alone
