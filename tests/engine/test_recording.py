"""Turns that are played by recordings equal turns that are played as they are.

On a CPU `ganlab.testing.tape.Tape` stands in for CUDA graphs: it replays operations without Python, so what a turn
reads on the host has the value that it had when the turn was recorded.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import replace
from typing import Any

import pytest
import torch
from support.distributed.ranks import results
from support.engine import BATCH, Engine, distance, flat, pair, points
from support.recorded import (
    RECORDABLE,
    WAITS,
    Playing,
    Reading,
    differences,
    engine_of,
    makes_a_generator,
    played,
    reads_a_value,
    trained,
)
from torch import Tensor

from ganlab import GanlabError
from ganlab.assembly import experiment
from ganlab.config import compose, schema
from ganlab.contracts.plan import plan
from ganlab.contracts.view import View
from ganlab.core import distributed, registry
from ganlab.core.randomness import NEW, Stream
from ganlab.core.schedules import Schedule, Scheduled
from ganlab.engine import record_check
from ganlab.engine.cuda_graphs import CudaGraphs
from ganlab.engine.recording import Graphs, KeptGenerators
from ganlab.games.standard import Standard
from ganlab.losses.hinge import Hinge
from ganlab.testing.tape import Tape

ITERATIONS = 10
FEW = ("loss=hinge", "reg=lecam", "game=introvae", "update=optimistic", "growing")
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.mark.parametrize("name", [n if n in FEW else pytest.param(n, marks=pytest.mark.slow) for n in RECORDABLE])
def test_a_recorded_run_equals_one_that_is_played_bit_by_bit(name: str) -> None:
    assert list(record_check.refusals(engine_of(name)[0].module)) == []
    tape = Tape()
    (found, scalars), (expected, others) = played(name, ITERATIONS, tape), played(name, ITERATIONS)
    assert tape.recorded >= 1
    assert tape.replayed >= ITERATIONS - 4
    assert differences(found, expected) == []
    assert [differences(*pair) for pair in zip(scalars, others, strict=True)] == [[]] * ITERATIONS


@pytest.mark.parametrize("name", [WAITS[0], *(pytest.param(n, marks=pytest.mark.slow) for n in WAITS[1:])])
def test_a_part_that_cannot_be_recorded_says_so_and_the_stand_in_finds_it(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tape = Tape()
    playing = Playing(name, tape)
    assert list(record_check.refusals(playing.module)) != []
    playing.go_on(4)
    assert "makes the host wait" in "".join(tape.failures)
    assert "cannot be recorded" in capsys.readouterr().err


def of_two_ranks() -> dict[str, Any]:
    found = {}
    for name in ("loss=hinge", "everything at once", "growing"):
        tape = Tape()
        recorded, expected = played(name, ITERATIONS, tape)[0], played(name, ITERATIONS)[0]
        found[name] = {"replayed": tape.replayed, "others": differences(recorded, expected), "failures": tape.failures}
    return found


@pytest.mark.slow
def test_recorded_runs_of_two_ranks_equal_played_ones_bit_by_bit() -> None:
    """Gradients, batch statistics and their backward pass cross the ranks in each replay; over gloo, on a CPU."""
    for rank in results(of_two_ranks):
        for name, found in rank.items():
            assert found["failures"] == found["others"] == [], name
            assert found["replayed"] >= ITERATIONS - 4, name


def failing_on_one_rank() -> list[str]:
    """The lines of a rank about a turn that the second rank alone cannot record, and if it has fallen back."""
    said = io.StringIO()
    with redirect_stderr(said):
        engine = of_toys(lambda view: 1.0, Unwilling() if distributed.rank() else Tape())
    assert engine.module.recordings is not None
    return [*said.getvalue().splitlines(), str(engine.module.recordings.failed)]


@pytest.mark.slow
def test_what_one_rank_cannot_record_no_rank_records_and_one_line_says_so() -> None:
    """NCCL wants an operation recorded by all ranks or by none."""
    first, second = results(failing_on_one_rank)
    assert first == ["True"]
    assert second == ["The turn of discriminator cannot be recorded, so turns are not any more: no memory.", "True"]


class Unwilling(Tape):
    """Has no memory for a recording, but for its messages."""

    def record(self, call: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        super().record(call, generators)
        raise RuntimeError("no memory")


@pytest.fixture
def deterministic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@contextmanager
def equality() -> Iterator[Callable[[dict[str, Tensor], dict[str, Tensor]], None]]:
    """Give a comparison bit by bit, or with a tolerance once an operation had no deterministic implementation."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")

        def compare(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
            if any("deterministic implementation" in str(each.message) for each in caught):
                torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5, equal_nan=True)
            else:
                assert differences(found, expected) == []

        yield compare


@on_a_gpu
@pytest.mark.parametrize("name", RECORDABLE)
def test_a_recorded_run_on_a_gpu_equals_one_that_is_played(name: str, deterministic: None) -> None:
    """In float32, after ten iterations."""
    graphs = CudaGraphs(CUDA)
    with equality() as compare:
        found, expected = played(name, ITERATIONS, graphs, CUDA), played(name, ITERATIONS, device=CUDA)
        assert graphs.count >= 1
        compare(found[0], expected[0])
    graphs.forget()


GRAPHS: dict[str, Callable[[], Graphs]] = {"tape": Tape, "CUDA graphs": lambda: CudaGraphs(CUDA)}
WITH_GRAPHS = ["tape", pytest.param("CUDA graphs", marks=on_a_gpu)]


@pytest.mark.parametrize("by", WITH_GRAPHS)
@pytest.mark.parametrize("resumed_by_graphs", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_run_that_is_resumed_equals_one_that_goes_on(by: str, resumed_by_graphs: bool, deterministic: None) -> None:
    """Four iterations with recordings, six from its checkpoint with others, or as they are."""
    name = "reg=lecam"  # which has state of its own
    first = Playing(name, GRAPHS[by]())
    second = Playing(name, GRAPHS[by]() if resumed_by_graphs else None, first.device)
    first.go_on(4)
    second.take(first)
    second.go_on(ITERATIONS - 4)
    assert differences(trained(second.module), played(name, ITERATIONS, device=first.device)[0]) == []


WHOLE = [name for name in RECORDABLE if re.match("family=|game=|loss=hinge", name)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by", "name"),
    [
        ("tape", "loss=hinge"),
        *(pytest.param(by, n, marks=on_a_gpu) for by in ("CUDA graphs", "nothing") for n in WHOLE),
    ],
)
def test_a_compiled_step_recorded_or_not_is_near_one_that_is_played(by: str, name: str, deterministic: None) -> None:
    """A step of SGD from the same weights, once all turns are recorded. The tape does so without compiled code."""
    graphs = GRAPHS[by]() if by in GRAPHS else None
    compiled = Playing(name, graphs, None if by == "tape" else CUDA, compile=True)
    compiled.go_on(3)
    plain = Playing(name, device=compiled.device)
    plain.take(compiled)
    for playing in (compiled, plain):
        playing.go_on(1)
    found, expected = (flat(playing.module.game.parameters()) for playing in (compiled, plain))
    recordings = compiled.module.recordings
    assert (graphs is None) is (recordings is None)
    assert recordings is None or not recordings.failed
    assert distance(found, expected) < 1e-3


@on_a_gpu
def test_recorded_turns_take_at_most_a_fifth_more_memory() -> None:
    """Memory that the process holds, in ten iterations of SNGAN at 64 pixels, batch 64: a few GiB."""

    def most(graphs: CudaGraphs | None) -> int:
        built = experiment.build(compose.read(["model=sngan", "data.image_size=64", "data.batch_size=64"]))
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(CUDA)
        before = torch.cuda.memory_reserved(CUDA)
        for _ in zip(range(ITERATIONS), begun(built, graphs, CUDA), strict=False):
            pass
        return torch.cuda.max_memory_reserved(CUDA) - before

    eager, graphs = most(None), CudaGraphs(CUDA)
    recorded = most(graphs)
    assert graphs.count == 2
    graphs.forget()
    assert recorded < 1.2 * eager


def build(*words: str) -> Any:
    small = ["generator.width=8", "discriminator.width=8", "data.batch_size=8"]
    return experiment.build(compose.read([*small, *words]))


def begun(built: Any, graphs: Graphs | None = None, device: torch.device = CPU) -> Iterator[Any]:
    """Begin a run; each of what is returned plays an iteration."""
    module = built.module.to(device)
    module.begin()
    if graphs is not None:
        module.record(graphs)
    return (module.iterate(batch) for batch in experiment.loader(built, device))


def run(built: Any, tape: Tape | None = None, iterations: int = ITERATIONS) -> dict[str, Tensor]:
    for _ in zip(range(iterations), begun(built, tape), strict=False):
        pass
    return trained(built.module)


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


OF_PARTS = [name for name in RECORDABLE if re.match("reg=|loss=|game=[^,]*$|ada of colours, held", name)]


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


def of_toys(strength: Callable[[View], Any], graphs: Graphs | None = None, device: torch.device = CPU) -> Engine:
    generator, discriminator = pair()
    game = Standard(generator=generator, discriminator=discriminator, loss=Hinge())
    engine = Engine(game, {"reading": Reading(strength)}, rate=0.05)
    engine.module.to(device)
    engine.module.begin()
    if graphs is not None:
        engine.module.record(graphs)
    for _ in range(ITERATIONS):
        engine.iterate(points(0).to(device))
    return engine


def test_the_stand_in_finds_a_number_that_python_reads() -> None:
    """A recording has the images seen of the iteration in which it was made."""
    tape = Tape()
    by_progress = of_toys(lambda view: view.images_seen / 1000, tape).weights()
    assert tape.replayed > ITERATIONS
    assert not torch.equal(by_progress, of_toys(lambda view: view.images_seen / 1000).weights())
    assert torch.equal(of_toys(lambda view: 0.1, Tape()).weights(), of_toys(lambda view: 0.1).weights())


CANNOT = "The turn of discriminator cannot be recorded, so turns are not any more: "
READING: dict[str, tuple[Callable[[View], Any], str]] = {
    "a value of the device": (reads_a_value, "_local_scalar_dense"),
    "a tensor of the host": (lambda view: torch.tensor(0.1), "lift_fresh"),
    "a generator": (makes_a_generator, "made while it was recorded"),
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
    assert line.startswith(CANNOT)
    assert reason in line
    assert tape.recorded == 1
    assert torch.equal(found.weights(), of_toys(strength).weights())


@on_a_gpu
@pytest.mark.parametrize("what", [what for what in READING if what != "a tensor of the host"])  # a number to CUDA
def test_a_turn_that_a_gpu_cannot_record_is_played_as_it_is_after_one_line(
    what: str, deterministic: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broken recording leaves stream, generators and memory as they were, and the first error is said."""
    strength, _ = READING[what]
    stream, graphs = torch.cuda.current_stream(CUDA), CudaGraphs(CUDA)
    found = of_toys(strength, graphs, CUDA)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(CANNOT)
    assert "previous error" not in line
    assert graphs.count == 0
    assert torch.cuda.current_stream(CUDA) == stream
    assert torch.rand(3, device=CUDA).isfinite().all()
    assert torch.equal(found.weights(), of_toys(strength, device=CUDA).weights())


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


def test_repetitions_of_a_turn_share_a_recording() -> None:
    """Two turns of the discriminator and one of the generator: two recordings, in the third iteration."""
    tape = Tape()
    played("loss=hinge", ITERATIONS, tape)
    assert (tape.recorded, tape.replayed) == (2, 3 * (ITERATIONS - 2))


def test_recordings_give_their_memory_back_while_a_lazy_turn_is_new() -> None:
    """R1 every second and R2 every third iteration: four turns, some recorded again after new ones."""
    tape = Tape()
    playing = Playing("r1 and r2 in lazy turns", tape)
    playing.go_on(7)
    made = tape.recorded
    assert made > 4
    playing.go_on(6)
    assert tape.recorded == made


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


SHARE = ["reg=top_k", "reg.top_k.share={from:1,to:0.5,end_kimg:1}"]
REFUSED: dict[str, tuple[list[str], tuple[Any, ...], str]] = {
    "cpu": ([], (CPU,), "this run is on the cpu: take recorded=auto, or trainer.accelerator=gpu"),
    "gloo": ([], (CUDA, 2, "cpu:gloo,cuda:gloo"), "2 processes over cpu:gloo,cuda:gloo, because CUDA graphs hold the"),
    "a schedule": (SHARE, (CUDA,), "reg.top_k.share as a schedule, because turns read it on the host"),
    "betas": (
        ["optimizer.generator.betas=[0.0,{from:0.9,to:0.99,end_kimg:1}]"], (CUDA,),
        "does not go with optimizer.generator.betas as a schedule, because torch's optimizers read them on the host",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_recorded_is_refused_in_one_sentence(name: str) -> None:
    words, where, sentence = REFUSED[name]
    with pytest.raises(GanlabError) as caught:
        record_check.check(build(*words, "recorded=true").module, *where)
    assert sentence in str(caught.value)
    module = build(*words).module
    record_check.check(module, *where)  # auto: off
    assert (module.to_record, record_check.said(module)) == (False, [])


def test_a_part_that_declares_it_cannot_be_recorded_is_refused_with_its_reason() -> None:
    module = build("recorded=true").module
    module.regularizers["mine"] = Reading(unrecordable="it reads a value")
    with pytest.raises(GanlabError, match="recorded=true does not go with reg=mine, because it reads a value: take"):
        record_check.check(module, CUDA)


def test_what_is_recorded_is_said_when_a_run_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """With several processes over NCCL too; and so it is with auto, once that is switched on."""
    (line,) = record_check.said(build("recorded=true").module)
    assert "the guard or an instrument" in line
    record_check.check(build("recorded=true").module, CUDA, 2, "nccl")
    monkeypatch.setattr(record_check, "AUTO_RECORDS", True)
    for words, where, begins in (
        ([], CUDA, "recorded: turns, from the third iteration"),
        (SHARE, CUDA, "not recorded: turns, which do not go with reg.top_k.share as a schedule, because"),
        ([], CPU, ""),
    ):
        module = build(*words).module
        record_check.check(module, where)
        assert "".join(record_check.said(module)).startswith(begins)
        assert module.to_record is begins.startswith("recorded")
        assert bool(record_check.said(module)) is bool(begins)
