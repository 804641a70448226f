"""Games that are played as they are, and the same ones by recordings."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ganlab.contracts.game import UPDATES
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
)
READS = {"ada with all transformations": "how far to mirror at the border depends on what was drawn"}


def engine_of(name: str) -> tuple[Engine, Images]:
    """The case in float32, without the test's own records of turns and gradients, and its images."""
    engine, data = cases.engine_of(replace(CASES[name], double=False))
    for optimizer in engine.module.player_optimizers.by_player.values():
        optimizer._optimizer_step_pre_hooks.clear()
    engine.module._evaluate = GameModule._evaluate.__get__(engine.module)  # type: ignore[method-assign]
    return engine, data


def trained(module: GameModule) -> dict[str, Tensor]:
    """Weights, buffers, averages and moments."""
    found = {name: t.detach().clone() for name, t in module.state_dict().items() if isinstance(t, Tensor)}
    for player, optimizer in module.player_optimizers.by_player.items():
        for number, state in enumerate(optimizer.state.values()):
            found |= {f"{player} {number} {name}": t.clone() for name, t in state.items() if isinstance(t, Tensor)}
    return found


def played(
    name: str, iterations: int, graphs: Graphs | None = None, device: torch.device | str = "cpu"
) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Return what is trained after some iterations, and the scalars of each."""
    engine, data = engine_of(name)
    module, options = engine.module, engine.module.training_options
    module.to(device)
    module.begin()
    if graphs is None:
        module.player_optimizers.record(grows=module.game.growth is not None)  # the same optimizers as with graphs
    else:
        module.record(graphs)
    loader = Loader(
        data,
        module.game,
        lambda: module.progress,
        batch_size=options.batch_size,
        accumulate=options.accumulate,
        seed=options.seed,
        device=device,
    )
    scalars = []
    for _, batch in zip(range(iterations), loader, strict=False):
        module.iterate(batch)
        scalars.append({each: value.clone() for each, value in module.scalars.items()})
    return trained(module), scalars


def differences(found: dict[str, Tensor], expected: dict[str, Tensor]) -> list[str]:
    """Names of what is not the same, bit by bit."""
    names = sorted(found.keys() | expected.keys())
    both = found.keys() & expected.keys()
    return [n for n in names if n not in both or not torch.equal(found[n].nan_to_num(9.5), expected[n].nan_to_num(9.5))]
