"""Time ganlab's iterations on a GPU beside the references, in one table.

    python benchmarks/gpu.py                                 # one GPU, nine minutes, ganlab alone
    python benchmarks/gpu.py peers=FOLDER out=gpu.json       # beside the references whose checkouts are in the folder
    python benchmarks/gpu.py only=biggan_32,evaluate modes=eager,recorded
    python benchmarks/gpu.py only=biggan_128,biggan_32 modes=eager,trials    # each choice that only a GPU decides
    python benchmarks/gpu.py cpu seconds=300                 # tiny networks on a CPU: tries the code, measures nothing

Each row is a process of its own (`gpu_row.py`). Several build and warm up side by side; one at a time is timed, while
the others are stopped. The most important rows come first. The file is written after each row: a run that is cut, by
its time, a signal or a crash, leaves what was done, and the table of that is printed. References are timed where
``peers`` has BigGAN-PyTorch, mimicry, GAN_stability, pytorch_GAN_zoo, stylegan2-ada-pytorch or R3GAN; the evaluation
needs torch-fidelity.

Columns: milliseconds of an iteration (median); real images/s; the time over that of the reference's fastest mode;
TFLOP/s of convolutions and matrix products, counted in an eager iteration, and their share of what a large matrix
product reaches in that precision, measured first; the share of the time in which kernels run, and their number in an
iteration; the most memory; seconds from the start of the process to the end of its first iteration, beside others that
build.

Options: device (cuda or cpu), peers, out (gpu.json), seconds (540), reserve (150: of them for what comes last, the
evaluation and whole runs), beside (4: processes), memory (GiB that they may take together; 70), only (names of works),
modes (of ganlab: eager, recorded, compiled, recorded and compiled; and, where they are named, ways to choose between,
beside eager: tf32, no tf32, one pass, two passes, data on the host, contiguous, casts a pass, attention written out,
unfolded, compiled max-autotune; trials are all of these).
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROW = [sys.executable, str(Path(__file__).with_name("gpu_row.py"))]
LIMIT_SECONDS = 240.0  # of one row, until it is ready and until it is done
FILLED = ("done", "failed", "cut")
Row = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """A network's training iteration that ganlab and a reference play.

    Args:
        script: The benchmark that has both sides.
        case: Its name there.
        checkout: Folder of the reference.
        width, batch, images: The reference's width, the batch, and real images of an iteration (of a cycle of it).
        tiny: Width and batch for a try on a CPU.
        gib: Memory that it takes at most.
        decides: It is one of the works of the goal, which come first.
        fp16: The reference has half precision.
    """

    script: str
    case: str
    checkout: str
    width: int
    batch: int
    images: int
    tiny: tuple[int, int]
    gib: float = 6
    decides: bool = False
    fp16: bool = False


WORKS = {
    "biggan_32": Work("peers", "biggan_cifar", "BigGAN-PyTorch", 64, 50, 4, (8, 4), decides=True, fp16=True),
    "biggan_128": Work("peers", "biggan_128", "BigGAN-PyTorch", 96, 64, 1, (8, 4), 30, decides=True, fp16=True),
    "r1_64": Work("peers", "gan_stability_64", "GAN_stability", 64, 64, 1, (4, 4), 12, decides=True),
    "sngan_32": Work("peers", "sngan_32", "mimicry", 128, 64, 5, (8, 4)),
    "pggan_32": Work("growing", "gan_zoo", "pytorch_GAN_zoo", 512, 16, 1, (16, 4)),
    "r3gan_32": Work("style_peers", "r3gan_32", "R3GAN", 64, 64, 1, (64, 4)),
    "stylegan2_32": Work("style_peers", "stylegan2_32", "stylegan2-ada-pytorch", 64, 32, 16, (64, 2)),
}
# ganlab's modes, and the options of ``ganlab train`` that each is
RECORDED = "recorded=true"  # CUDA graphs, which a CPU does not have
MODES: dict[str, tuple[str, ...]] = {
    "eager": ("recorded=false",),
    "recorded": (RECORDED,),
    "compiled": ("recorded=false", "compile=true"),
    "recorded and compiled": (RECORDED, "compile=true"),
}
# Ways that a GPU is to choose between, each beside the mode of its first word; they are played where ``modes`` names
# them. Those without options are changes of `gpu_row.py`.
TRIALS: dict[str, tuple[str, ...]] = {
    "tf32": ("recorded=false", "tf32=true"),
    "no tf32": ("recorded=false", "tf32=false"),
    "one pass": ("recorded=false", "game.one_pass=true"),
    "two passes": ("recorded=false", "game.one_pass=false"),
    "data on the host": ("recorded=false", "data.on_device=false"),
    "contiguous": ("recorded=false", "channels_last=false"),
    "casts a pass": ("recorded=false",),
    "attention written out": ("recorded=false",),
    "unfolded": ("recorded=false",),
    "compiled max-autotune": ("recorded=false", "compile=max-autotune-no-cudagraphs"),
}
FLOAT32 = ("tf32", "no tf32")  # trials that concern it
ORDER = (
    ("eager", "fp32"), ("recorded", "fp32"), ("eager", "bf16"), ("recorded", "bf16"), ("recorded and compiled", "bf16"),
    ("compiled", "bf16"), ("recorded and compiled", "fp32"), ("compiled", "fp32"),
)  # fmt: skip
# whole commands: options, and those that make them small
JOBS = {
    "default job": (("trainer.max_steps=1000",), ("trainer.max_steps=3", "data.batch_size=8")),
    "default job recorded": (("trainer.max_steps=1000", RECORDED), ()),
    "first iteration of biggan_128": (
        ("model=biggan", "reg=sn", "loss=hinge", "data.image_size=128", "data.image_channels=3", "generator.width=96",
         "discriminator.width=96", "data.batch_size=64", "trainer.max_steps=1", "trainer.log_every_n_steps=1"),
        ("data.image_size=32", "generator.width=8", "discriminator.width=8", "data.batch_size=4"),
    ),
}  # fmt: skip


def rows(device: str, peers: Path | None, only: Sequence[str] = (), modes: Sequence[str] = ()) -> list[Row]:
    """The rows of the table, the most important first; those with ``last`` come after all others."""
    tiny = device == "cpu"
    seconds = 0.2 if tiny else 3.0
    found: list[Row] = [{"work": "peak", "kind": "peak", "side": "torch", "mode": "matrix products", "precision": ""}]
    for decides in (True, False):
        works = {name: work for name, work in WORKS.items() if work.decides == decides}
        for side, mode, precision in _ways(modes):
            for name, work in works.items():
                checkout = None if peers is None else peers / work.checkout
                if side == "reference" and (checkout is None or not checkout.is_dir()):
                    continue
                if side == "reference" and precision == "fp16" and not work.fp16:
                    continue
                if side == "ganlab" and modes and mode not in modes:
                    continue
                words = {**MODES, **TRIALS}[mode] if side == "ganlab" else ()
                width, batch = work.tiny if tiny else (work.width, work.batch)
                found.append({
                    "work": name, "kind": "iteration", "side": side, "mode": mode, "precision": precision,
                    "script": work.script, "case": work.case, "checkout": str(checkout), "width": width, "batch": batch,
                    "images": batch * work.images, "gib": work.gib, "words": words,
                    "count": mode == "eager",
                })  # fmt: skip
    images = 20 if tiny else 10_000
    fidelity = {"kind": "evaluation", "side": "ganlab", "mode": "", "precision": "", "images": images, "last": True}
    found.append({"work": "evaluate", "features": "random" if tiny else "inception", **fidelity})
    for name, (words, small) in JOBS.items():
        job = {"kind": "job", "side": "ganlab", "mode": "", "precision": "", "last": True}
        found.append({"work": name, "words": [*words, *(small if tiny else ())], **job})
    chosen = [row for row in found if not only or row["work"] in (*only, "peak")]
    chosen = [row for row in chosen if not (tiny and RECORDED in row.get("words", ()))]
    return [{**row, "device": device, "seconds": seconds, "status": "waiting"} for row in chosen]


def _ways(modes: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    yield from (("reference", "eager", precision) for precision in ("fp32", "fp16"))
    yield from (("ganlab", mode, precision) for mode, precision in ORDER)
    yield from (("ganlab", mode, "fp32" if mode in FLOAT32 else "bf16") for mode in TRIALS if mode in modes)


@dataclass
class Worker:
    """A process that plays a row."""

    row: Row
    process: subprocess.Popen[bytes]
    log: Any
    started: float
    ready: bool = False
    timed: bool = False
    said: bytes = b""

    def stop(self, number: int) -> None:
        """Send a signal to the process and to those that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def complaint(self) -> str:
        """The last line that the process wrote to its errors."""
        self.log.seek(0)
        lines = [line.strip() for line in self.log.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1][:300] if lines else f"it ended with {self.process.returncode}"


@dataclass
class Bench:
    """Plays rows and keeps what they said.

    Args:
        rows: In order.
        out: The file.
        seconds, reserve, beside, memory: As the module says.
        command: What a row is played by; its description comes as one more word.
        about: Goes into the file.
    """

    rows: list[Row]
    out: Path
    seconds: float = 540.0
    reserve: float = 150.0
    beside: int = 4
    memory: float = 70.0
    command: Sequence[str] = field(default_factory=lambda: ROW)
    about: Row = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)
    asked: int = 0

    def run(self) -> int:
        """Play all rows that the time allows, and print the table; 0 if all are done."""
        self.begun = time.monotonic()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)
        try:
            with selectors.DefaultSelector() as self.selector:
                self._play([row for row in self.rows if not row.get("last")], self.seconds - self.reserve)
                self._play([row for row in self.rows if row.get("last")], self.seconds)
        finally:
            self._cut(self.rows)
            self._write()
            print("\n" + table(self.rows), flush=True)
        return 128 + self.asked if self.asked else int(any(row["status"] != "done" for row in self.rows))

    def _ask(self, number: int, _: Any) -> None:
        self.asked = number

    def _play(self, rows: list[Row], until: float) -> None:
        while not self.asked and any(row["status"] not in FILLED for row in rows):
            if time.monotonic() - self.begun > until:
                break
            self._start(rows)
            self._time()
            for key, _ in self.selector.select(0.2):
                self._hear(key.data)
            for worker in [w for w in self.workers if time.monotonic() - w.started > LIMIT_SECONDS]:
                self._fill(
                    worker, "failed", error=f"not {'done' if worker.ready else 'ready'} in {LIMIT_SECONDS:.0f} s"
                )
        self._cut(rows)

    def _start(self, rows: list[Row]) -> None:
        """Start the next rows, as many as may be side by side; what comes last, one by one."""
        for row in rows:
            taken = sum(worker.row.get("gib", 2) for worker in self.workers)
            full = len(self.workers) >= (1 if row.get("last") else self.beside)
            if full or (self.workers and taken + row.get("gib", 2) > self.memory):
                return
            if row["status"] == "waiting":
                row["status"] = "building"
                log = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the row ends
                now = time.monotonic()
                process = subprocess.Popen(
                    [*self.command, json.dumps({**row, "started": now})],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                )  # fmt: skip
                worker = Worker(row, process, log, now)
                self.workers.append(worker)
                self.selector.register(process.stdout, selectors.EVENT_READ, worker)  # type: ignore[arg-type]

    def _time(self) -> None:
        """Let the first ready row be timed, if none is, and stop the others."""
        ready = [worker for worker in self.workers if worker.ready]
        if not ready or any(worker.timed for worker in self.workers):
            return
        first = min(ready, key=lambda worker: self.rows.index(worker.row))
        for worker in self.workers:
            if worker is not first:
                worker.stop(signal.SIGSTOP)
        first.timed, first.started = True, time.monotonic()
        assert first.process.stdin is not None
        first.process.stdin.write(b"go\n")
        first.process.stdin.flush()

    def _hear(self, worker: Worker) -> None:
        """Take what a row says: lines of JSON, the first when it is ready and the second when it is done."""
        assert worker.process.stdout is not None
        said = os.read(worker.process.stdout.fileno(), 1 << 16)
        worker.said += said
        *lines, worker.said = worker.said.split(b"\n")
        for line in lines:
            worker.row.update(json.loads(line))
            if worker.ready:
                self._fill(worker, "done")
                return
            worker.ready = True
        if not said:
            worker.process.wait()
            self._fill(worker, "failed", error=worker.complaint())

    def _fill(self, worker: Worker, status: str, **more: Any) -> None:
        """End a row, let the others go on, and write the file."""
        worker.row.update(status=status, **more)
        self.selector.unregister(worker.process.stdout)  # type: ignore[arg-type]
        self.workers.remove(worker)
        worker.stop(signal.SIGKILL)
        worker.process.wait()
        worker.log.close()
        for stream in (worker.process.stdin, worker.process.stdout):
            assert stream is not None
            stream.close()
        if worker.timed:
            now = time.monotonic()
            for other in self.workers:
                other.started += now - worker.started  # it was stopped for so long
                other.stop(signal.SIGCONT)
        complete(self.rows)
        self._write()
        print(f"{time.monotonic() - self.begun:5.0f} s  {line_of(worker.row)}", flush=True)

    def _cut(self, rows: list[Row]) -> None:
        """End the rows that are not done."""
        why = f"signal {self.asked}" if self.asked else "the time was over"
        for worker in list(self.workers):
            self._fill(worker, "cut", error=why)
        for row in rows:
            if row["status"] not in FILLED:
                row.update(status="cut", error=why)

    def _write(self) -> None:
        beside = self.out.with_name(self.out.name + ".part")
        seconds = round(time.monotonic() - self.begun, 1)
        beside.write_text(json.dumps({**self.about, "seconds": seconds, "rows": self.rows}, indent=1))
        os.replace(beside, self.out)


def complete(rows: Sequence[Row]) -> None:
    """Add to rows what follows from others: the ratio to the reference, the operations, the share of the peak."""
    done = [row for row in rows if row["status"] == "done" and row["kind"] == "iteration"]
    peak = next((row for row in rows if row["kind"] == "peak" and row["status"] == "done"), {})
    for row in done:
        same = [other for other in done if other["work"] == row["work"]]
        fastest = min((other["ms"] for other in same if other["side"] == "reference"), default=None)
        if fastest is not None and row["side"] == "ganlab":
            row["ratio"] = round(row["ms"] / fastest, 3)
        counted = [other["flop"] for other in same if other["side"] == row["side"] and other.get("flop")]
        if counted:
            row["tflops"] = round(counted[0] / row["ms"] / 1e9, 3)
            reached = peak.get(row["precision"])
            row["share_of_peak"] = None if not reached else round(row["tflops"] / reached, 4)


COLUMNS = (
    ("ms", "ms", "{:.2f}"),
    ("images/s", "images_per_second", "{:.0f}"),
    ("ratio", "ratio", "{:.2f}"),
    ("TFLOP/s", "tflops", "{:.2f}"),
    ("of peak", "share_of_peak", "{:.1%}"),
    ("kernels", "kernel_share", "{:.0%}"),
    ("launched", "launches", "{:.0f}"),
    ("GiB", "gib_taken", "{:.2f}"),
    ("first, s", "first_seconds", "{:.1f}"),
)


def table(rows: Sequence[Row]) -> str:
    """A table of Markdown: the rows that have numbers, then those that have none."""
    lines = [
        "| work | side | " + " | ".join(title for title, _, _ in COLUMNS) + " |",
        "| --- | --- |" + " --- |" * len(COLUMNS),
    ]
    others = [row for row in rows if row["status"] != "done" or "ms" not in row]
    for row in rows:
        if row not in others:
            cells = [text.format(row[key]) if row.get(key) is not None else "" for _, key, text in COLUMNS]
            lines.append(f"| {row['work']} | {_side(row)} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *map(line_of, others)])


def line_of(row: Row) -> str:
    """A row in one line, for the log."""
    if row["status"] != "done":
        return f"{row['work']}, {_side(row)}: {row['status']}{', ' + row['error'] if row.get('error') else ''}"
    shown = [f"{title} {text.format(row[key])}" for title, key, text in COLUMNS if row.get(key) is not None]
    return f"{row['work']}, {_side(row)}: {', '.join(shown)}{' ' if shown else ''}{row.get('says', '')}"


def _side(row: Row) -> str:
    return " ".join(word for word in (row["side"], row["mode"], row["precision"]) if word)


def main(words: list[str]) -> int:
    options = {"device": "cuda", "peers": "", "out": "gpu.json", "only": "", "modes": ""}
    numbers: dict[str, Any] = {"seconds": 540.0, "reserve": 150.0, "beside": 4, "memory": 70.0}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals and word in ("cpu", "cuda"):
            options["device"] = word
        elif name in numbers:
            numbers[name] = type(numbers[name])(value)
        elif name in options:
            options[name] = value
        else:
            raise SystemExit(__doc__)
    only, modes = ([name for name in options[key].split(",") if name] for key in ("only", "modes"))
    if "trials" in modes:
        modes = [*modes, *TRIALS]
    for names, known in ((only, {*WORKS, *JOBS, "evaluate", "peak"}), (modes, {*MODES, *TRIALS, "trials"})):
        if unknown := [name for name in names if name not in known]:
            raise SystemExit(f"There is no {', '.join(unknown)}: take some of {', '.join(sorted(known))}.")
    chosen = rows(options["device"], Path(options["peers"]).resolve() if options["peers"] else None, only, modes)
    about = {"device": options["device"], "begun": time.strftime("%Y-%m-%d %H:%M:%S"), "words": words}
    return Bench(chosen, Path(options["out"]), about=about, **numbers).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
