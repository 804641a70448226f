"""Turns that are played by recordings equal turns that are played as they are.

On a CPU `ganlab.testing.tape.Tape` stands in for CUDA graphs: it replays operations without Python, so what a turn
reads on the host has the value that it had when the turn was recorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from support.engine import BATCH, Engine, pair
from support.recorded import CASES, READS, differences, engine_of, played, trained
from torch import Tensor

from ganlab import GanlabError
from ganlab.assembly import experiment
from ganlab.config import compose, schema
from ganlab.contracts.address import Address
from ganlab.contracts.plan import plan
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.core import registry
from ganlab.core.randomness import NEW, Stream
from ganlab.core.schedules import Schedule, Scheduled
from ganlab.engine import record_check
from ganlab.engine.cuda_graphs import CudaGraphs
from ganlab.engine.recording import KeptGenerators
from ganlab.games.standard import Standard
from ganlab.losses.hinge import Hinge
from ganlab.testing.tape import Tape

ITERATIONS = 10
FEW = ("loss=hinge", "reg=lecam", "game=introvae", "update=optimistic", "growing")
RECORDABLE = [name for name in CASES if name not in READS]


@pytest.mark.parametrize("name", [n if n in FEW else pytest.param(n, marks=pytest.mark.slow) for n in RECORDABLE])
def test_a_recorded_run_equals_one_that_is_played_bit_by_bit(name: str) -> None:
    assert list(record_check.refusals(engine_of(name)[0].module)) == []
    tape = Tape()
    (found, scalars), (expected, others) = played(name, ITERATIONS, tape), played(name, ITERATIONS)
    assert tape.recorded >= 1
    assert tape.replayed >= ITERATIONS - 4
    assert differences(found, expected) == []
    assert [differences(*pair) for pair in zip(scalars, others, strict=True)] == [[]] * ITERATIONS


@pytest.mark.parametrize("name", READS)
def test_a_part_that_cannot_be_recorded_says_so(name: str) -> None:
    assert list(record_check.refusals(engine_of(name)[0].module)) != []


@pytest.mark.slow
@pytest.mark.parametrize("name", READS)
def test_the_stand_in_finds_a_part_that_cannot_be_recorded(name: str) -> None:
    assert differences(played(name, 4, Tape())[0], played(name, 4)[0]) != []


@pytest.fixture
def deterministic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation.*")
@pytest.mark.parametrize("name", RECORDABLE)
def test_a_recorded_run_on_a_gpu_equals_one_that_is_played(name: str, deterministic: None) -> None:
    """In float32, after ten iterations."""
    graphs = CudaGraphs(torch.device("cuda", 0))
    found, expected = played(name, ITERATIONS, graphs, "cuda:0"), played(name, ITERATIONS, device="cuda:0")
    assert graphs.count >= 1
    assert differences(found[0], expected[0]) == []


@pytest.mark.parametrize("resumed_by_tape", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_run_that_is_resumed_equals_one_that_goes_on(resumed_by_tape: bool) -> None:
    """Four iterations with a tape, six from its checkpoint with another, or as they are."""
    name = "reg=lecam"  # which has state of its own
    expected, _ = played(name, ITERATIONS)
    first, data = engine_of(name)
    first.module.record(Tape())
    first.play(data, 4)
    checkpoint: dict[str, Any] = {}
    first.module.on_save_checkpoint(checkpoint)
    second, data = engine_of(name)
    if resumed_by_tape:
        second.module.record(Tape())
    second.module.load_state_dict(first.module.state_dict())
    for player, optimizer in second.module.player_optimizers.by_player.items():
        optimizer.load_state_dict(first.module.player_optimizers.by_player[player].state_dict())
    second.module.on_load_checkpoint(checkpoint)
    second.play(data, ITERATIONS - 4)
    assert differences(trained(second.module), expected) == []


def build(*words: str) -> Any:
    small = ["generator.width=8", "discriminator.width=8", "data.batch_size=8"]
    return experiment.build(compose.read([*small, *words]))


def run(built: Any, tape: Tape | None = None, iterations: int = ITERATIONS) -> dict[str, Tensor]:
    module = built.module
    module.begin()
    if tape is not None:
        module.record(tape)
    loader = experiment.loader(built, torch.device("cpu"))
    for _, batch in zip(range(iterations), loader, strict=False):
        module.iterate(batch)
    return trained(module)


@pytest.mark.slow
def test_a_recorded_run_in_bfloat16_equals_one_that_is_played() -> None:
    tape = Tape()
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):  # as Lightning has it
        found, expected = run(build("reg=[r1,sn]"), tape), run(build("reg=[r1,sn]"))
    assert tape.replayed > ITERATIONS
    assert differences(found, expected) == []


@pytest.mark.slow
def test_a_recorded_run_of_a_recipe_that_grows_equals_one_that_is_played() -> None:
    """Five iterations at 4 pixels, seven while 8 fade in, and two of them alone, with Adam, averages and rates."""
    grows = ["growth.stable_kimg=0.04", "growth.fade_kimg=0.056", "growth.batch_sizes=null"]
    words = ["experiment=digits_pggan", *grows, "growth.learning_rate_factors={8:0.5}"]
    tape = Tape()
    found, expected = run(build(*words), tape, 14), run(build(*words), iterations=14)
    assert tape.recorded == 4
    assert differences(found, expected) == []


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_rates_and_numbers_that_follow_schedules_reach_a_recording(optimizer: str) -> None:
    """They are tensors there, of which a replay reads the present value."""
    words = [
        *(f"optimizer/{player}={optimizer}" for player in ("generator", "discriminator")),
        "optimizer.discriminator.lr={from:1e-3,to:1e-4,end_steps:10}",
        "reg=r1",
        "reg.r1.gamma={from:1,to:0.125,end_steps:10}",
        "ema.half_life_kimg={from:0.01,to:0.1,end_steps:10}",
    ]
    tape = Tape()
    found, expected = run(build(*words), tape), run(build(*words))
    assert tape.replayed > ITERATIONS
    if optimizer == "sgd":  # torch's fused form of it, which alone reads a rate on the device, rounds in another order
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    else:
        assert differences(found, expected) == []


OF_PARTS = [name for name in CASES if re.match("reg=|loss=|game=[^,]*$|ada of colours, held", name)]


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_PARTS)
def test_each_number_that_follows_a_schedule_reaches_a_recording_or_is_refused(name: str) -> None:
    """Of every component: from its value to half of it. A number of the host and a tensor may round differently."""
    component = name.partition("=")[2] or "ada"
    for option in numbers_of(name, component):
        refused = scheduled(name, component, option)
        if list(record_check.refusals(refused.module)):
            assert option in type(part_of(refused, component)).host_options
            continue
        tape = Tape()
        found, expected = (trained(scheduled(name, component, option, *given).module) for given in ([tape], []))
        assert tape.replayed > ITERATIONS
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def part_of(engine: Engine, component: str) -> Any:
    """Return the regularizer of this name, or else the loss, or else the game."""
    game: Any = engine.game
    if component in engine.module.regularizers:
        return engine.module.regularizers[component]
    return game.loss if component in registry.names("loss") else game


def numbers_of(name: str, component: str) -> list[str]:
    part = part_of(engine_of(name)[0], component)
    known = schema.options(type(part)).values()
    floats = [o.name for o in known if schema.takes_float(o.annotation)]
    return [each for each in floats if isinstance(getattr(part, each, None), float) and getattr(part, each) > 0]


def scheduled(name: str, component: str, option: str, tape: Tape | None = None) -> Engine:
    engine, data = engine_of(name)
    part = part_of(engine, component)
    value = getattr(part, option)
    schedule = Schedule(value, value / 2, 0, BATCH * ITERATIONS)
    engine.module.training_options.scheduled = [Scheduled(schedule, part, option, option)]
    if tape is not None:
        engine.module.record(tape)
    engine.play(data, ITERATIONS)
    return engine


class Reading(Regularizer):
    """A penalty whose strength is a number of the host that changes, or a value of the device."""

    addresses = (Address("discriminator"),)

    def __init__(self, strength: Callable[[View], Any]) -> None:
        super().__init__()
        self.strength = strength

    def terms(self, player: str, view: View) -> Terms:
        return {"reading": self.strength(view) * view.logits(view.reals).square().mean()}


def of_toys(strength: Callable[[View], Any], tape: Tape | None = None) -> Tensor:
    generator, discriminator = pair()
    game = Standard(generator=generator, discriminator=discriminator, loss=Hinge())
    engine = Engine(game, {"reading": Reading(strength)}, rate=0.05)
    if tape is not None:
        engine.module.record(tape)
    for _ in range(ITERATIONS):
        engine.iterate()
    return engine.weights()


def test_the_stand_in_finds_a_number_that_python_reads() -> None:
    """A recording has the images seen of the iteration in which it was made."""
    tape = Tape()
    by_progress = of_toys(lambda view: view.images_seen / 1000, tape)
    assert tape.replayed > ITERATIONS
    assert not torch.equal(by_progress, of_toys(lambda view: view.images_seen / 1000))
    assert torch.equal(of_toys(lambda view: 0.1, Tape()), of_toys(lambda view: 0.1))


READING: dict[str, tuple[Callable[[View], Any], str]] = {
    "a value of the device": (lambda view: float(view.logits(view.reals).detach().abs().max()), "_local_scalar_dense"),
    "a tensor of the host": (lambda view: torch.tensor(0.1), "lift_fresh"),
    "a generator": (
        lambda view: torch.rand((), generator=torch.Generator().manual_seed(1)),
        "made while it was recorded",
    ),
    "another draw": (
        lambda view: view.draw(f"strength {view.images_seen}", (BATCH,), "uniform").mean(),
        "which it did not before",
    ),
}


@pytest.mark.parametrize("what", READING)
def test_a_turn_that_cannot_be_recorded_is_played_as_it_is_after_one_line(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    strength, reason = READING[what]
    tape = Tape()
    found = of_toys(strength, tape)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("The turn of discriminator cannot be recorded, so turns are not any more: ")
    assert reason in line
    assert tape.recorded == 1
    assert torch.equal(found, of_toys(strength))


def test_a_turn_whose_steps_somebody_looks_at_is_played() -> None:
    engine, data = engine_of("loss=hinge")
    tape, seen = Tape(), []
    engine.module.record(tape)
    engine.play(data, 4)
    before = tape.replayed
    engine.module.player_optimizers.observers.append(lambda step: (seen.append(step.player), nullcontext())[1])  # type: ignore[func-returns-value]
    engine.play(data)
    assert seen == ["discriminator", "discriminator", "generator"]
    assert tape.replayed == before
    engine.module.player_optimizers.observers.clear()
    engine.play(data, ITERATIONS - 5)
    assert tape.replayed > before
    assert differences(trained(engine.module), played("loss=hinge", ITERATIONS)[0]) == []


def test_repetitions_of_a_turn_share_a_recording_and_a_stage_of_growth_begins_anew() -> None:
    """Two turns of the discriminator and one of the generator: two recordings. Of the growing game four: of both
    stages."""
    tape = Tape()
    played("loss=hinge", ITERATIONS, tape)
    assert (tape.recorded, tape.replayed) == (2, 3 * ITERATIONS - 4)
    tape = Tape()
    played("growing", ITERATIONS, tape)
    assert tape.recorded == 4


def test_kept_generators_draw_what_new_ones_of_the_same_keys_do() -> None:
    engine, kept = engine_of("loss=hinge")[0], KeptGenerators(Tape())
    slot = plan(engine.game, engine.module.progress, BATCH).slots[0]
    for seen in (0, 8, 16):
        kept.begin(3, seen, [replace(slot, index=2)])
        mine, theirs = Stream(3, seen, 2, 0, generators=kept), Stream(3, seen, 2, 0)
        for _ in range(2):  # of one purpose, each has a key of its own
            assert torch.equal(mine.draw("latents", (4, 2)), theirs.draw("latents", (4, 2)))
        with mine.within("twice").generators.default(torch.device("cpu"), *mine.parts, "torch", 0):
            found = torch.rand(3)
        with NEW.default(torch.device("cpu"), *theirs.parts, "torch", 0):
            assert torch.equal(found, torch.rand(3))
        assert len(kept.all) == 3


CPU, CUDA = torch.device("cpu"), torch.device("cuda")
REFUSED: dict[str, tuple[list[str], torch.device, int, str]] = {
    "cpu": ([], CPU, 1, "this run is on the cpu: take recorded=auto, or trainer.accelerator=gpu"),
    "ranks": ([], CUDA, 2, "recorded=true is for one process, and this run has 2: take recorded=auto"),
    "ada": (["augment=ada"], CUDA, 1, "does not go with augment, because how far its warps mirror"),
    "lecam": (["reg=lecam", "reg.lecam.start_kimg=1"], CUDA, 1, "reg=lecam, because its term begins with start_kimg"),
    "a schedule": (
        ["reg=ortho", "reg.ortho.weight={from:1e-4,to:0,end_kimg:1}"], CUDA, 1,
        "reg.ortho.weight as a schedule, because turns read it on the host",
    ),
    "betas": (
        ["optimizer.generator.betas=[0.0,{from:0.9,to:0.99,end_kimg:1}]"], CUDA, 1,
        "optimizer.generator.betas as a schedule",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_recorded_is_refused_in_one_sentence(name: str) -> None:
    words, device, ranks, sentence = REFUSED[name]
    with pytest.raises(GanlabError) as caught:
        record_check.check(build(*words, "recorded=true").module, device, ranks)
    assert sentence in str(caught.value)
    record_check.check(build(*words).module, device, ranks)  # auto: off


def test_what_is_recorded_is_said_when_a_run_begins() -> None:
    assert record_check.said(build().module) == []
    (line,) = record_check.said(build("recorded=true").module)
    assert "the guard or an instrument" in line
