"""The speed of a training iteration and the parts of its time, compared with a hand-written loop if asked for."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import torch

from ganlab.assembly import experiment
from ganlab.bench.plain_loop import PlainLoop
from ganlab.bench.settings import Settings
from ganlab.config import schema
from ganlab.config.configuration import Config
from ganlab.contracts.callback import RunContext
from ganlab.contracts.plan import Progress
from ganlab.core import kinds, memory
from ganlab.core.errors import GanlabError
from ganlab.engine import batch_check, record_check
from ganlab.engine.loader import Loader
from ganlab.engine.module import GameModule
from ganlab.runs import tf32, trainer
from ganlab.runs.callbacks.recorder import Recorder
from ganlab.runs.checkpoints import AtomicCheckpointIO


def synchronize(device: torch.device) -> None:
    """Wait for a GPU's pending work, so that a clock counts it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass
class Parts:
    """Exclusive time of nested parts: the time of an inner part does not count for the outer one."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _since: float = 0.0

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        self._switch(part)
        try:
            yield
        finally:
            self._switch(None)

    def _switch(self, part: str | None) -> None:
        synchronize(self.device)
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0.0) + now - self._since
        if part is None:
            self._open.pop()
        else:
            self._open.append(part)
        self._since = now


class Meter(L.Callback):
    """Times iterations of a Trainer, including Lightning and the callbacks; in between, outside of the clock, the rival
    plays as many.

    Attributes:
        mine, rivals: Seconds of each counted iteration.
    """

    def __init__(self, settings: Settings, rival: PlainLoop | None) -> None:
        self.settings, self.rival = settings, rival
        self.mine: list[float] = []
        self.rivals: list[float] = []
        self.parts: Parts | None = None
        self._batches: list[Any] = []
        self._done = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        synchronize(pl_module.device)
        self._started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        synchronize(pl_module.device)
        seconds = time.perf_counter() - self._started
        self._done += 1
        counted = self._done > self.settings.warmup
        measured = self.settings.warmup + self.settings.iterations * self.settings.repeats
        if counted and self._done <= measured:
            self.mine.append(seconds)
        if self.rival is not None and self._done <= measured:
            self._batches.append(batch)
            if len(self._batches) == self.settings.iterations or self._done in (self.settings.warmup, measured):
                self._play_rival(pl_module, counted)
        if self._done == measured and self.parts is None:  # the remaining iterations time the parts
            assert isinstance(pl_module, GameModule)
            self.parts = pl_module.setting.timer = Parts(pl_module.device)
            self.finished = (seconds, pl_module.progress.iteration)
        synchronize(pl_module.device)
        self._started = time.perf_counter()

    def _play_rival(self, module: L.LightningModule, counted: bool) -> None:
        assert self.rival is not None
        for batch in self._batches:
            self.rival.prepare(batch)
            synchronize(module.device)
            started = time.perf_counter()
            self.rival.iterate()
            synchronize(module.device)
            if counted:
                self.rivals.append(time.perf_counter() - started)
        self._batches.clear()
        if self._done >= self.settings.warmup + self.settings.iterations * self.settings.repeats:
            self.rival.difference = self.rival.compare(module)


def run(config: Config, settings: Settings) -> dict[str, Any]:
    """Measure one configuration.

    Raises:
        GanlabError: If it cannot be trained, or compared.
    """
    built = experiment.build(config)
    module = built.module
    module.progress = Progress(images_seen=round(1000 * settings.kimg))
    with tempfile.TemporaryDirectory(prefix="ganlab-bench-") as folder:
        meter = Meter(settings, None)
        parts_iterations = max(settings.iterations, 3)
        steps = settings.warmup + settings.iterations * settings.repeats + parts_iterations
        options = {**config.trainer, "max_steps": steps}
        lightning_trainer = trainer.make(options, [Recorder(RunContext(Path(folder))), meter], [], AtomicCheckpointIO())
        batch_check.check(module, lightning_trainer.world_size)
        record_check.check_trainer(module, lightning_trainer)
        if lightning_trainer.world_size > 1:
            raise GanlabError("`ganlab bench` measures one process: take trainer.devices=1.")
        loader = experiment.loader(built, lightning_trainer.strategy.root_device)
        if settings.compare is not None:
            module.to(lightning_trainer.strategy.root_device)
            meter.rival = PlainLoop(module, loader)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        with tf32.chosen(config.tf32, lightning_trainer.strategy.root_device):
            lightning_trainer.fit(module, train_dataloaders=_timed(loader, meter))
    return _result(built, meter, settings)


def _timed(loader: Loader, meter: Meter) -> Any:
    class Timed:
        def __iter__(self) -> Iterator[Any]:
            batches = iter(loader)
            while True:
                if meter.parts is None:
                    yield next(batches)
                else:
                    with meter.parts("data"):
                        batch = next(batches)
                    yield batch

    return Timed()


def _result(built: experiment.Experiment, meter: Meter, settings: Settings) -> dict[str, Any]:
    module, config = built.module, built.config
    median = statistics.median(meter.mine)
    images = round((module.progress.images_seen - 1000 * settings.kimg) / module.progress.iteration)
    assert meter.parts is not None
    total = sum(meter.parts.seconds.values())
    cuda = module.device.type == "cuda"
    result: dict[str, Any] = {
        **components(config),
        "reg": sorted(config.of("reg")),
        "image_size": schema.plain(config.data.image_size),
        "batch_size": config.data.batch_size,
        "device": str(module.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "iterations_measured": len(meter.mine),
        "seconds_per_iteration": median,
        "fastest_iteration": min(meter.mine),
        "slowest_iteration": max(meter.mine),
        "images_per_second": images / median,
        "shares": {part: s / total for part, s in sorted(meter.parts.seconds.items(), key=lambda item: -item[1])},
        "peak_memory_mib": memory.peak(cuda) / 2**20,
        "parameters": {name: _count(player.modules.values()) for name, player in module.game.players.items()},
    }
    stage = module.game.stage(round(1000 * settings.kimg))
    if stage is not None:
        result["image_size"], result["batch_size"] = stage.image_size[0], stage.batch_size
        result["stage"], result["alpha"] = stage.level, stage.alpha
    if meter.rival is not None:
        plain = statistics.median(meter.rivals)
        result["plain"] = {
            "seconds_per_iteration": plain,
            "ratio": median / plain,
            "weights_differ_by": meter.rival.difference,
        }
    return result


def components(config: Config) -> dict[str, str | None]:
    """Name the networks and the loss of a run, by role; None for a usual role that the game does without."""
    named = {role: config[role].name if role in config else None for role in kinds.roles()}
    return {role: name for role, name in named.items() if name or kinds.KINDS[role].default != kinds.NONE}


def title(result: Mapping[str, Any]) -> str:
    """The networks and the loss of a result, in words."""
    networks = [result[role] for role in kinds.networks() if result.get(role)]
    return f"{' against '.join(networks)}, loss {result['loss'] or 'none'}"


def _count(modules: Any) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def report(result: dict[str, Any]) -> str:
    """A table for people and one line of JSON for programs."""
    rows: list[tuple[str, str]] = [
        ("images/s", f"{result['images_per_second']:.1f}"),
        (
            "seconds per iteration",
            f"{result['seconds_per_iteration']:.4f} (median of {result['iterations_measured']}, "
            f"{result['fastest_iteration']:.4f} to {result['slowest_iteration']:.4f})",
        ),
        *((f"  {part}", f"{100 * share:.1f} %") for part, share in result["shares"].items()),
        ("peak memory", f"{result['peak_memory_mib']:.0f} MiB"),
        *((f"parameters of {player}", f"{count:,}") for player, count in result["parameters"].items()),
    ]
    if "plain" in result:
        plain = result["plain"]
        rows += [
            ("plain loop", f"{plain['seconds_per_iteration']:.4f} seconds per iteration"),
            ("ganlab / plain", f"{plain['ratio']:.3f}"),
            ("weights differ by", f"{plain['weights_differ_by']:.1e} (relative)"),
        ]
    width = max(len(name) for name, _ in rows)
    heading = (
        f"{title(result)}, reg {', '.join(result['reg']) or 'none'}, {result['image_size']} pixels, "
        f"batch {result['batch_size']}, {result['device']} ({result['threads']} threads), torch {result['torch']}"
    )
    return "\n".join([heading, *(f"{name:<{width}}  {value}" for name, value in rows), json.dumps(result)])
