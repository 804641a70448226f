"""Instruments on the checkpoints of a run, after training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch

from ganlab.assembly import experiment
from ganlab.assembly.experiment import Experiment
from ganlab.config import option_table
from ganlab.config.configuration import Config
from ganlab.config.schema import COMPONENT
from ganlab.contracts.instrument import Instrument, Subject
from ganlab.core import code_files, files, json_lines, run_files
from ganlab.core.errors import GanlabError
from ganlab.engine import field
from ganlab.engine.module import GameModule
from ganlab.runs import checkpoint_check, checkpoints, choice, run_folder, trainer, watched
from ganlab.runs.checkpoints import AtomicCheckpointIO
from ganlab.runs.run import Run

FILE = run_files.MEASURED
Line = dict[str, Any]


def measure(
    folder: Path,
    names: Sequence[str] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    which: choice.Which = choice.NEWEST,
    device: torch.device | str = "cpu",
    say: Callable[[Line], None] = lambda line: None,
) -> list[Line]:
    """Measure checkpoints of a run, and append a line for each to its watch.jsonl when it is there.

    A line has the iteration, kimg, the checkpoint and the numbers by the names that they have in metrics.jsonl. An
    instrument that is shown steps, such as of gradients, has its own line, of the iterations that follow the
    checkpoint: they are played, and forgotten.

    Args:
        names: Instruments; None: those of the run.
        options: Of instruments, by name, instead of the run's.
        which: See `choice.several`.
        say: Called with each line before it is written.

    Raises:
        GanlabError: For everything that a user can fix; lines before it stay.
    """
    config = _with_instruments(run_folder.read_config(folder), folder, names, options or {})
    paths = choice.several(folder, which)
    built = experiment.build(config)
    run = Run.of(folder, built)
    run.module.to(device)
    subject = watched.subject(built)
    subject.vector_field = lambda: field.evaluating(run.module, experiment.loader(built, run.module.device))
    watched.instruments(config, subject)  # refused before the first checkpoint is read
    lines = []
    for path in paths:
        for line in _of_checkpoint(run, built, subject, path):
            say(line)
            lines.append(line)
            try:
                json_lines.append(folder / FILE, line)
            except OSError as error:
                raise files.unwritable(folder / FILE, error) from error
    return lines


def _with_instruments(
    config: Config, folder: Path, names: Sequence[str] | None, options: Mapping[str, Mapping[str, Any]]
) -> Config:
    before = config.around.get("watch", {})
    components = {key: node.get(COMPONENT, key) for key, node in before.items()}
    if names is not None:
        components = {code_files.short(name): name for name in names}
    chosen = list(components)
    if not chosen:
        raise GanlabError(f"{files.typed(folder)} was trained without instruments: name some, as what=spectra.")
    for name in options:
        if name not in chosen:
            raise GanlabError(
                f"{name}.{next(iter(options[name]))} has no effect without the instrument: add it to what=."
            )
    nodes = {
        key: {**option_table.node("watch", name), **before.get(key, {}), **options.get(key, {})}
        for key, name in components.items()
    }
    return replace(config, around={**config.around, "watch": nodes})


def _of_checkpoint(run: Run, built: Experiment, subject: Subject, path: Path) -> Iterator[Line]:
    """Yield the lines of one checkpoint, by instruments that have measured nothing before."""
    run.load(path)
    made = watched.instruments(built.config, subject)
    still = {name: instrument for name, instrument in made.items() if not instrument.iterations}
    shown = {name: instrument for name, instrument in made.items() if instrument.iterations}
    if still:
        yield _line(run.module, subject, still, path)
    if shown:
        _play(built, path, shown, max(instrument.iterations for instrument in shown.values()))
        yield _line(run.module, subject, shown, path)


def _line(module: GameModule, subject: Subject, instruments: Mapping[str, Instrument], path: Path) -> Line:
    found = {
        f"{name}/{quantity}": value
        for name, instrument in instruments.items()
        for quantity, value in instrument.measure(subject).items()
    }
    numbers = torch.stack([value.float() for value in found.values()]).tolist() if found else []
    rounded = {name: float(f"{number:.6g}") for name, number in zip(found, numbers, strict=True)}
    progress = module.progress
    return {"iteration": progress.iteration, "kimg": progress.kimg, "checkpoint": path.name, **rounded}


class _Showing(L.Callback):
    """Shows instruments the steps of the last iterations of a short training."""

    def __init__(self, instruments: Mapping[str, Instrument], iterations: int) -> None:
        self.instruments, self.left = instruments, iterations

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GameModule)
        shown = [each.observe for each in self.instruments.values() if self.left <= each.iterations]
        pl_module.player_optimizers.observers[:] = shown
        self.left -= 1


def _play(built: Experiment, path: Path, instruments: Mapping[str, Instrument], iterations: int) -> None:
    """Play the iterations that follow a checkpoint as a resumed run would, and show them to instruments."""
    module, stored, io = built.module, checkpoints.load(path), AtomicCheckpointIO()
    options = {
        "precision": built.config.trainer.get("precision", "32-true"),
        "accelerator": "cpu" if module.device.type == "cpu" else "auto",
        "max_steps": stored["global_step"] + iterations,
    }
    short = trainer.make(options, [_Showing(instruments, iterations)], [], io)
    io.checked = checkpoint_check.taken(module, stored, path, short.fit_loop.state_dict())
    short.precision_plugin.convert_module(module)
    module.train()
    short.fit(module, train_dataloaders=experiment.loader(built, module.device), ckpt_path=str(path))
    module.player_optimizers.observers.clear()
