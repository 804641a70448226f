"""One row of `gpu.py`, in a process of its own.

It builds, warms up, says so, waits for "go", and says what it measured. Its word is the row as JSON. It writes lines of
JSON to the output that it was started with; whatever else is printed goes to its errors. It ends when its input does.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.autograd import DeviceType
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ganlab.bench.iteration import synchronize
from ganlab.core import memory
from ganlab.runs import tf32

Row = dict[str, Any]
Iterate = Callable[[], Any]
Timed = Callable[[], Row]  # what is left to do when the row is ready
WARM_UP = 3
PROFILED = 3  # iterations


# trials that are no options of a run: a name of a module, and what is there instead
TRIALS: dict[str, tuple[str, str, Any]] = {
    "casts a pass": ("ganlab.engine.turns", "cast_once", lambda *_: nullcontext()),
    "attention written out": ("ganlab.layers.attention", "GPU_TO_CHANNELS", 0),
    "unfolded": ("ganlab.layers.resample", "FEWEST_PIXELS", 2**62),
}


def peak(row: Row) -> tuple[Row, Timed]:
    """TFLOP/s of a large matrix product, by precision."""
    device, size = torch.device(row["device"]), 8192 if row["device"] == "cuda" else 256

    def reached(dtype: torch.dtype) -> float:
        a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        times = []
        for _ in range(8):
            synchronize(device)
            started = time.perf_counter()
            for _ in range(4):
                a @ b
            synchronize(device)
            times.append((time.perf_counter() - started) / 4)
        return round(2 * size**3 / min(times) / 1e12, 3)

    def measure() -> Row:
        found = {name: reached(dtype) for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))}
        if device.type == "cuda":
            found["fp16"] = reached(torch.float16)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
        says = f"{name}, torch {torch.__version__}, TFLOP/s: {', '.join(f'{k} {v}' for k, v in found.items())}"
        return {**found, "name": name, "torch": torch.__version__, "says": says}

    return {}, measure


def iteration(row: Row) -> tuple[Row, Timed]:
    """A training iteration of ganlab or of a reference."""
    device = torch.device(row["device"])
    play, count = sides(row)
    play()
    synchronize(device)
    found: Row = {"first_seconds": round(time.monotonic() - row["started"], 2), "parameters": count}
    if row["count"]:
        with Operations() as counted:
            play()
        found["flop"] = counted.total
    for _ in range(WARM_UP):
        play()
    synchronize(device)
    if device.type == "cuda":
        torch.cuda.empty_cache()  # others build beside

    def measure() -> Row:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = times(play, device, row["seconds"])
        kernels, launches = profiled(play, device)
        return {
            "ms": 1e3 * statistics.median(seconds), "ms_fastest": 1e3 * min(seconds), "iterations": len(seconds),
            "images_per_second": row["images"] / statistics.median(seconds),
            "kernel_share": kernels / statistics.median(seconds), "launches": launches,
            "gib_taken": memory.peak(device.type == "cuda") / 2**30,
        }  # fmt: skip

    return found, measure


class Operations(TorchDispatchMode):
    """Count the floating-point operations of convolutions and matrix products, twice for a product and a sum.

    torch's `FlopCounterMode` follows modules too, with hooks that fail inside of ``torch.autograd.grad``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if (count := flop_registry.get(func.overloadpacket)) is not None:
            self.total += count(*args, **kwargs, out_val=out)
        return out


def sides(row: Row) -> tuple[Iterate, int]:
    """What plays an iteration, and the number of parameters."""
    sys.path.insert(0, str(Path(__file__).parent))
    reference, words, bf16 = row["side"] == "reference", row["words"], row["precision"] == "bf16"
    width, batch, device = row["width"], row["batch"], row["device"]
    networks: tuple[nn.Module, ...]
    if row["mode"] in TRIALS:
        module, name, instead = TRIALS[row["mode"]]
        setattr(importlib.import_module(module), name, instead)
    if choice := [word.removeprefix("tf32=") == "true" for word in words if word.startswith("tf32=")]:
        tf32.chosen(choice[0], torch.device(device)).__enter__()  # the process ends with the row
    if row["script"] == "peers":
        import peers

        case = peers.CASES[row["case"]]
        settings = peers.Settings(width=width, batch=batch, device=device, options=list(words))
        settings.reference_fp16 = row["precision"] == "fp16"
        if reference:
            play, networks = peers.peer(row["case"], case)(case, Path(row["checkout"]), settings)
        else:
            play, networks = peers.ganlab(case, settings)
    elif row["script"] == "growing":
        import growing

        if reference:
            made, play = growing.reference(row["checkout"], width, batch, device)
            networks = made.netG, made.netD
        else:
            made, play = growing.ours(width, batch, row["case"], device, words)
            networks = (made.game,)
    else:
        import style_peers

        if reference:
            play, networks = style_peers.theirs(row["case"], Path(row["checkout"]), batch, device)
        else:
            play, networks = style_peers.ours(row["case"], batch, device, *words)
    count = sum(parameter.numel() for network in networks for parameter in network.parameters())
    return (in_bf16(play, device) if bf16 else play), count


def in_bf16(play: Iterate, device: str) -> Iterate:
    """As Lightning's bf16-mixed plays an iteration."""

    def iterate() -> None:
        # without torch's cache, which would keep the casts of weights through the steps that change them
        with torch.autocast(device, dtype=torch.bfloat16, cache_enabled=False):
            play()

    return iterate


def times(play: Iterate, device: torch.device, seconds: float) -> list[float]:
    """Seconds of an iteration, of stretches of some, so that the host may run ahead of the device within each."""

    def stretch(count: int) -> float:
        synchronize(device)
        started = time.perf_counter()
        for _ in range(count):
            play()
        synchronize(device)
        return (time.perf_counter() - started) / count

    count = max(1, round(seconds / 10 / stretch(1)))
    found, begun = [stretch(count)], time.perf_counter()
    while len(found) < 3 or time.perf_counter() - begun < seconds:
        found.append(stretch(count))
    return found


def profiled(play: Iterate, device: torch.device) -> tuple[float, float]:
    """Seconds and number of the device's kernels in an iteration; zeros on a CPU."""
    synchronize(device)
    with torch.profiler.profile() as profile:
        for _ in range(PROFILED):
            play()
        synchronize(device)
    events = [
        event
        for event in profile.key_averages()
        if event.device_type != DeviceType.CPU and not event.is_user_annotation
    ]
    seconds = sum(event.self_device_time_total for event in events) / 1e6
    return seconds / PROFILED, sum(event.count for event in events) / PROFILED


def evaluation(row: Row) -> tuple[Row, Timed]:
    """``ganlab evaluate`` and torch-fidelity on the same files, one after the other."""
    sys.path.insert(0, str(Path(__file__).parent))
    import evaluation as scores
    import numpy as np
    from PIL import Image

    folder = tempfile.TemporaryDirectory()  # removed with the measurement
    random = np.random.default_rng(0)
    folders = [Path(folder.name, name) for name in ("fake", "real")]
    for each in folders:
        each.mkdir()
        for number in range(row["images"]):
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(each / f"{number}.png", compress_level=1)

    def measure() -> Row:
        with folder:
            found = scores.fidelity(
                [str(each) for each in folders], row["features"], "fid,is,kid", 100, 1, 0, row["device"]
            )
        wall = found["wall"]
        says = f"{row['images']} images, fid, is and kid: {wall['ganlab']} s, torch-fidelity {wall['other']} s, "
        return {**found, "images": row["images"], "says": says + f"ratio {wall['ratio']}"}

    return {}, measure


def job(row: Row) -> tuple[Row, Timed]:
    """A whole ``ganlab train``."""

    def measure() -> Row:
        with tempfile.TemporaryDirectory() as folder:
            accelerator = "gpu" if row["device"] == "cuda" else "cpu"
            words = [*row["words"], f"trainer.accelerator={accelerator}", f"run.dir={folder}/run"]
            started = time.perf_counter()
            subprocess.run([sys.executable, "-m", "ganlab", "train", *words], check=True, stdout=sys.stderr)
            seconds = time.perf_counter() - started
            last = json.loads(Path(folder, "run", "metrics.jsonl").read_text().splitlines()[-1])
        says = f"{seconds:.1f} s, {last['images_per_second']:.0f} images/s at its end"
        return {"whole_seconds": seconds, "images_per_second_at_end": last["images_per_second"], "says": says}

    return {}, measure


def main(word: str) -> None:
    row = json.loads(word)
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(found: Row) -> None:
        print(json.dumps(found), file=channel, flush=True)

    torch.manual_seed(0)
    found, measure = {"peak": peak, "iteration": iteration, "evaluation": evaluation, "job": job}[row["kind"]](row)
    say(found)
    if sys.stdin.readline():
        say(measure())


if __name__ == "__main__":
    main(sys.argv[1])
