"""Games that are played as they are, and the same ones by recordings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ganlab.contracts.address import Address
from ganlab.contracts.game import UPDATES
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.data.prepare import Images
from ganlab.engine.loader import Loader
from ganlab.engine.module import GameModule
from ganlab.engine.recording import Graphs
from support.distributed import cases
from support.distributed.cases import Case
from support.engine import Engine

_ADA = {"policy": "color", "p": 0.5, "interval_steps": 2, "kimg": 0.05}
CASES = {
    **cases.EQUAL,
    **{f"update={rule}": Case(update=rule) for rule in UPDATES},
    "ada of colours": Case(augment={"ada": _ADA}),
    "ada of colours, held": Case(augment={"ada": {**_ADA, "target": None}}),
}
QUICK = (
    "loss=hinge",
    "reg=lecam",
    "reg=dropout",
    "everything at once",
    "game=introvae",
    "update=optimistic",
    "growing",
    "ada with all transformations",
)
WAITS = (
    "reg=singular_value",
    "clamped singular values",
    "sn by decomposition and ortho as a term",
)  # cannot be recorded
RECORDABLE = [name for name in CASES if name not in WAITS]


class Reading(Regularizer):
    """A penalty of a strength that some function gives: a number, or a value of the device."""

    addresses = (Address("discriminator"),)

    def __init__(self, strength: Callable[[View], Any] = lambda view: 1.0, unrecordable: str = "") -> None:
        super().__init__()
        self.strength, self.unrecordable = strength, unrecordable

    def terms(self, player: str, view: View) -> Terms:
        return {"reading": self.strength(view) * view.logits(view.reals).square().mean()}


def reads_a_value(view: View) -> float:
    return float(view.logits(view.reals).detach().abs().max())


def makes_a_generator(view: View) -> Tensor:
    return torch.rand((), generator=torch.Generator(view.stream.device).manual_seed(1), device=view.stream.device)


def engine_of(name: str, compile: bool = False) -> tuple[Engine, Images]:
    """The case in float32, without the test's own records of turns and gradients, and its images."""
    engine, data = cases.engine_of(replace(CASES[name], double=False, compile=compile))
    for optimizer in engine.module.player_optimizers.by_player.values():
        optimizer._optimizer_step_pre_hooks.clear()
    engine.module.evaluate = GameModule.evaluate.__get__(engine.module)  # type: ignore[method-assign]
    return engine, data


class Playing:
    """A case that is played by recordings, or as it is but with the operations of recorded turns.

    Args:
        name: Of the case.
        graphs: What records; None: it is played as it is.
        device: Where; None: that of the graphs, or the CPU.
        compile: Networks are compiled.
    """

    def __init__(
        self, name: str, graphs: Graphs | None = None, device: torch.device | None = None, compile: bool = False
    ) -> None:
        engine, self.data = engine_of(name, compile)
        self.module, self.device = engine.module, device or (torch.device("cpu") if graphs is None else graphs.device)
        self.module.to(self.device)
        self.module.begin()
        if graphs is None:
            self.module.make_recordable()
        else:
            self.module.record(graphs)

    def go_on(self, iterations: int) -> list[dict[str, Tensor]]:
        """Play some iterations; return the scalars of each."""
        module, options, scalars = self.module, self.module.training_options, []
        loader = Loader(
            self.data,
            module.game,
            lambda: module.progress,
            batch_size=options.batch_size,
            accumulate=options.accumulate,
            seed=options.seed,
            device=self.device,
        )
        for _, batch in zip(range(iterations), loader, strict=False):
            module.iterate(batch)
            scalars.append({each: value.clone() for each, value in module.scalars.items()})
        return scalars

    def take(self, other: Playing) -> None:
        """Go on from where another one is, as from its checkpoint."""
        checkpoint: dict[str, Any] = {}
        other.module.on_save_checkpoint(checkpoint)
        self.module.load_state_dict(other.module.state_dict())
        for player, optimizer in self.module.player_optimizers.by_player.items():
            optimizer.load_state_dict(other.module.player_optimizers.by_player[player].state_dict())
        self.module.on_load_checkpoint(checkpoint)
        self.module.make_recordable()


def trained(module: GameModule) -> dict[str, Tensor]:
    """Weights, buffers, averages and moments."""
    found = {name: t.detach().clone() for name, t in module.state_dict().items() if isinstance(t, Tensor)}
    for player, optimizer in module.player_optimizers.by_player.items():
        for number, state in enumerate(optimizer.state.values()):
            found |= {f"{player} {number} {name}": t.clone() for name, t in state.items() if isinstance(t, Tensor)}
    return found


def played(
    name: str, iterations: int, graphs: Graphs | None = None, device: torch.device | None = None
) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Return what is trained after some iterations, and the scalars of each."""
    playing = Playing(name, graphs, device)
    scalars = playing.go_on(iterations)
    return trained(playing.module), scalars


def differences(found: dict[str, Tensor], expected: dict[str, Tensor]) -> list[str]:
    """Names of what is not the same, bit by bit."""
    names = sorted(found.keys() | expected.keys())
    both = found.keys() & expected.keys()
    return [n for n in names if n not in both or not torch.equal(found[n].nan_to_num(9.5), expected[n].nan_to_num(9.5))]
