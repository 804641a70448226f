"""N ranks train what one process trains. Every case is played once by the suite's one pair of ranks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from support.distributed import cases
from support.distributed.ranks import results
from support.engine import NormalizedGenerator, distance
from torch import nn

import ganlab
from ganlab.core.randomness import Stream, using

TOLERANCE = 1e-5  # relative, over the whole concatenated vector
IN_DOUBLE = 1e-9
VISIBLE = 1e-2  # what a wrong gradient differs by at least
INSTRUMENTS = ("spectra", "gradients", "memorization", "diversity", "lipschitz")
PER_BLOCK = ("left", "right")  # spectral norm's vectors of one block, made anew for each


def ranks(name: str) -> list[dict[str, Any]]:
    """The results of each rank in a case."""
    found = [rank[name] for rank in results()]
    for result in found:
        assert "error" not in result, result["error"]
    return found


def tolerance(name: str) -> float:
    return IN_DOUBLE if cases.EQUAL[name].double else TOLERANCE


@cache
def alone(name: str) -> dict[str, Any]:
    return cases.play(cases.EQUAL[name])


@pytest.mark.parametrize("name", cases.EQUAL)
def test_two_ranks_find_the_gradients_of_one_process(name: str) -> None:
    expected = alone(name)["gradients"]
    for found in (rank["gradients"] for rank in ranks(name)):
        assert [player for player, _ in found] == [player for player, _ in expected]
        for (player, mine), (_, theirs) in zip(found, expected, strict=True):
            assert theirs.norm() > 0, player
            assert distance(mine, theirs) < tolerance(name), player


@pytest.mark.parametrize("name", cases.EQUAL)
def test_after_some_iterations_two_ranks_have_the_weights_and_the_state_of_one_process(name: str) -> None:
    first, second = ranks(name)
    for player, expected in alone(name)["weights"].items():
        assert torch.equal(first["weights"][player], second["weights"][player]), "the ranks drift apart"
        assert distance(first["weights"][player], expected) < tolerance(name), player
    for key, expected in alone(name)["state"].items():
        if not key.endswith(PER_BLOCK):
            torch.testing.assert_close(first["state"][key], second["state"][key], rtol=0, atol=0, msg=key)
            assert distance(first["state"][key], expected) < tolerance(name), key


@pytest.mark.parametrize("name", cases.NOT_AVERAGED)
def test_without_the_all_reduce_gradients_would_be_visibly_others(name: str) -> None:
    expected = alone(name)["gradients"]
    for found in (rank["gradients"] for rank in ranks(f"not averaged: {name}")):
        for player in ("discriminator", "generator"):
            mine, theirs = (torch.cat([g for p, g in found_or if p == player]) for found_or in (found, expected))
            assert distance(mine, theirs) > VISIBLE, player


def test_batch_statistics_of_each_rank_alone_would_give_visibly_other_gradients() -> None:
    expected = alone("loss=non_saturating")["gradients"]
    for (_, mine), (_, theirs) in zip(ranks("own statistics")[0]["gradients"], expected, strict=True):
        assert distance(mine, theirs) > VISIBLE


def test_mean_and_gather_have_the_first_and_second_derivatives_of_the_whole() -> None:
    """Rank r minimises L_r; its gradient by its own x_r is that of L_0 + L_1, and gradients by the
    shared w are averaged, so that the average over ranks is the gradient of (L_0 + L_1)/2. The
    second derivatives are those of the penalty Σ_r (‖dΣL/dx_r‖² + L_r)."""
    world = 2
    pieces = [cases.whole(rank, world) for rank in range(world)]
    w = pieces[0][1]
    x = torch.cat([piece.detach() for piece, _ in pieces]).requires_grad_()
    h = torch.tanh(x * w)
    mean = torch.stack([part.exp().mean(0) for part in h.chunk(world)]).mean(0)
    values = [(part.square() * mean).mean() + (part[:, None] - h[None]).pow(4).mean() for part in h.chunk(world)]
    total = torch.stack(values).sum()
    gx, gw = torch.autograd.grad(total, (x, w), create_graph=True)
    second_x, second_w = torch.autograd.grad(gx.square().sum() + total, (x, w))
    found = [rank["adjoints"] for rank in results()]
    torch.testing.assert_close(torch.stack([f["value"] for f in found]), torch.stack(values).detach())
    torch.testing.assert_close(torch.cat([f["x"] for f in found]), gx.detach())
    torch.testing.assert_close(torch.stack([f["w"] for f in found]).sum(0), gw.detach())
    torch.testing.assert_close(torch.cat([f["second x"] for f in found]), second_x)
    torch.testing.assert_close(torch.stack([f["second w"] for f in found]).sum(0), second_w)


def test_average_takes_any_dtype_shape_and_memory_format() -> None:
    for rank in results():
        found = rank["averages"]
        assert torch.equal(found["float"], torch.arange(6.0).view(2, 3) + 0.5)
        assert torch.equal(found["double"], torch.full((2,), 3.0, dtype=torch.float64))
        assert torch.equal(found["strided"], torch.arange(16.0).view(1, 4, 2, 2) * 1.5)
        assert torch.equal(found["scalar"], torch.tensor(0.5))


def test_slices_of_two_ranks_are_the_draw_of_one_process() -> None:
    alone = Stream(0, 64, 1, 0)
    ranks = [rank["draws"] for rank in results()]
    assert torch.equal(torch.cat([r["slice"] for r in ranks]), alone.draw("latents", (6, 2)))
    assert torch.equal(torch.cat([r["second slice"] for r in ranks]), alone.draw("latents", (6, 2), "uniform"))


def test_large_draws_and_dropout_differ_between_ranks_and_between_iterations() -> None:
    first, second = (rank["draws"] for rank in results())
    assert not torch.equal(first["own"], second["own"])
    assert not torch.equal(first["dropout at 0"], second["dropout at 0"])
    assert not torch.equal(first["dropout at 0"], first["dropout at 64"])


def test_dropout_of_rank_zero_is_that_of_one_process() -> None:
    with using(Stream(0, 64, 0, 0)):
        assert torch.equal(nn.functional.dropout(torch.ones(64)), results()[0]["draws"]["dropout at 64"])


def test_every_rank_starts_with_the_parameters_and_buffers_of_rank_zero() -> None:
    first, second = (rank["broadcast"] for rank in results())
    assert not torch.equal(first["before"], second["before"])
    assert torch.equal(first["conv.weight"], first["before"])
    for name in NormalizedGenerator().state_dict():
        assert torch.equal(first[name], second[name]), name
        assert first[name].stride() == second[name].stride(), name
    assert second["norm.num_batches_tracked"] == 5
    assert first["norm.running_mean"].abs().sum() > 0


def test_no_module_is_wrapped() -> None:
    assert not any(bool(rank["broadcast"]["wrapped"]) for rank in results())


# --- the installed command

SMALL = (
    "model=dcgan",
    "generator.width=4",
    "discriminator.width=4",
    "generator.latent_dim=6",
    "data.image_size=16",
    "data.batch_size=16",
    "loss=hinge",
    "reg=[sn,r1]",
    "accumulate=2",
    "optimizer/generator=sgd",
    "optimizer/discriminator=sgd",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=2",
    "sample.count=10",
)


def command(*words: str) -> list[str]:
    script = shutil.which("ganlab", path=str(Path(sys.executable).parent))
    return [*([script] if script else [sys.executable, "-m", "ganlab"]), *words]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def ganlab_train(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = command("train", *SMALL, *options, f"run.dir={folder}")
    return subprocess.run(words, env=environment(), cwd=folder.parent, capture_output=True, text=True, timeout=240)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return {k: v for k, v in checkpoint["state_dict"].items() if not k.endswith(PER_BLOCK)}


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_the_installed_command_on_two_processes_equals_one_and_rank_zero_alone_writes(tmp_path: Path) -> None:
    steps = ("trainer.max_steps=10", "checkpoint.every_steps=5", "sample.every_steps=5", "watch.every_steps=4",
             "watch=[" + ",".join(INSTRUMENTS) + "]")  # fmt: skip
    one, two = tmp_path / "one", tmp_path / "two"
    done = ganlab_train(two, *steps, "trainer.devices=2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run: two\n") == 1
    assert [done.stdout.count(f"{what}: ") for what in ("\ndata", "\nlength")] == [0, 1]
    assert done.stdout.startswith("data: digits")
    assert "= 2 processes x " in done.stdout.splitlines()[2]
    assert "Traceback" not in done.stderr
    ganlab.train([*SMALL, *steps, f"run.dir={one}"])
    assert files(one) == files(two)
    assert [line["iteration"] for line in lines(two)] == [2, 4, 6, 8, 10]
    for mine, theirs in zip(lines(two), lines(one), strict=True):
        assert mine["discriminator/adversarial"] == pytest.approx(theirs["discriminator/adversarial"], rel=1e-4)
        watched = {name: value for name, value in theirs.items() if name.split("/")[0] in INSTRUMENTS}
        assert len(watched) > 40 or mine["iteration"] % 4
        assert {name: mine[name] for name in watched} == pytest.approx(watched, rel=2e-3, abs=1e-4)
    found, expected = weights(two), weights(one)
    assert found.keys() == expected.keys()
    floats = [name for name, value in expected.items() if value.is_floating_point()]
    both = (torch.cat([state[name].flatten() for name in floats]) for state in (found, expected))
    assert distance(*both) < TOLERANCE


@pytest.mark.slow
def test_sigterm_to_the_first_of_two_processes_stops_both_and_leaves_a_run_that_resumes(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = command("train", *SMALL, "trainer.devices=2", "trainer.max_steps=100000", f"run.dir={folder}")
    process = subprocess.Popen(
        words, env=environment(), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not (folder / "metrics.jsonl").is_file() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.1)
        children = children_of(process.pid)
        assert len(children) == 1
        process.send_signal(signal.SIGTERM)
        said, complained = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM, complained
        assert "ganlab resume run\n" in said
        for _ in range(100):  # the other rank leaves by itself
            if not any(alive(child) for child in children):
                break
            time.sleep(0.1)
        assert not any(alive(child) for child in children)
    finally:
        if process.poll() is None or any(alive(child) for child in children_of(process.pid)):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["ganlab"]["progress"]["iteration"]
    resumed = subprocess.run(
        command("resume", str(folder), f"trainer.max_steps={done + 2}"),
        env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr
    run = ganlab.load(folder)
    assert run.iteration == done + 2
    assert run.sample(2).isfinite().all()


def children_of(pid: int) -> list[int]:
    """Processes whose parent is ``pid``."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    own = [int(word) for word in found.stdout.split()]
    return own + [grandchild for child in own for grandchild in children_of(child)]


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_ranks_score_what_one_process_scores() -> None:
    expected = cases.evaluation()
    first, other = (rank["evaluation"] for rank in results())
    assert len(expected) > 20
    assert other == {}
    assert first.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(first[name], value, rtol=1e-9, atol=1e-9)
