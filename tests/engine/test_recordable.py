"""Conditions for recording a turn once and replaying it (CUDA graphs), checked on a CPU.

Nothing is read on the host, no attribute of an object that outlives the turn changes, and whatever is drawn is drawn by
the same calls in each iteration.
"""

from __future__ import annotations

import re
import types
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from support.host_reads import NoHostReads
from support.recorded import QUICK, RECORDABLE, engine_of
from torch import Tensor

from ganlab.core.randomness import Stream
from ganlab.engine.module import GameModule

WARM_UP = 4  # iterations: optimizers make their state, and lazy turns come by
PLAYED = 3
# the calls that this test watches; of the engine: what it logs, whose weights have gradients, and new values between an
# evaluation and its step
OWN = re.compile(r"^\.evaluate|^\._kept|^\.turns\._playing|^\.turns\.previous|pending\._values|\.grad\b")


def attributes(root: object) -> dict[str, object]:
    """Return what an object leads to: values of plain ones, addresses and shapes of tensors, sizes of containers."""
    found: dict[str, object] = {}
    seen: dict[int, object] = {}  # kept alive, so that no address is used twice
    pending: list[tuple[str, Any]] = [("", root)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, Tensor):
            found[path] = (value.data_ptr(), tuple(value.shape))
        elif value is None or isinstance(value, (bool, int, float, str)):
            found[path] = value
        elif id(value) not in seen and not isinstance(value, (type, types.ModuleType)):
            seen[id(value)] = value
            inside = dict(parts(value))
            found[f"{path} has"] = len(inside)
            pending += [(path + name, part) for name, part in inside.items() if not OWN.search(path + name)]
    return found


def parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what an object, a container, a method or a closure holds."""
    if isinstance(value, Mapping):
        yield from (
            (f"[{key if isinstance(key, (str, int)) else number}]", v) for number, (key, v) in enumerate(value.items())
        )
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{number}]", v) for number, v in enumerate(value))
    elif isinstance(value, (set, frozenset)):
        yield from ((f"[{each!r}]", None) for each in value)
    elif isinstance(value, types.MethodType):
        yield from ((".self", value.__self__), (".function", value.__func__))
    elif isinstance(value, types.FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        yield from ((f".{name}", cell.cell_contents) for name, cell in cells if cell is not None)
    else:
        yield from ((f".{name}", v) for name, v in getattr(value, "__dict__", {}).items())


def watch(module: GameModule, monkeypatch: pytest.MonkeyPatch) -> dict[Any, list[Any]]:
    """Have each evaluation and each step of a module looked at; returned are the draws of each turn, by its place."""
    drawn: dict[Any, list[Any]] = defaultdict(list)
    calls: list[Any] = []
    make = Stream._generator

    def seen(stream: Stream, purpose: str, *more: int) -> torch.Generator:
        calls.append((purpose, stream._counts.get(purpose, 0), *more))
        return make(stream, purpose, *more)

    monkeypatch.setattr(Stream, "_generator", seen)

    def alike(call: Callable[..., None]) -> Callable[..., None]:
        def watched(*given: Any, **options: Any) -> None:
            before = attributes(module)
            with NoHostReads():
                call(*given, **options)
            after = attributes(module)
            changed = {path for path in before.keys() | after.keys() if before.get(path, ...) != after.get(path, ...)}
            assert changed == set()

        return watched

    evaluate, step = alike(module.evaluate), alike(module.player_optimizers.step)

    def evaluated(slot: Any, reals: Any) -> None:
        calls.clear()
        evaluate(slot, reals)
        stage = module.stage
        drawn[slot.turn, slot.index, stage and (stage.level, stage.alpha < 1)].append(list(calls))

    monkeypatch.setattr(module, "evaluate", evaluated)
    monkeypatch.setattr(module.player_optimizers, "step", step)
    return drawn


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in RECORDABLE])
def test_a_turn_can_be_recorded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, data = engine_of(name)
    engine.module.make_recordable()
    engine.play(data, WARM_UP)
    drawn = watch(engine.module, monkeypatch)
    engine.play(data, PLAYED)
    assert drawn
    for place, calls in drawn.items():
        assert all(call == calls[0] for call in calls), place
