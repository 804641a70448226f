"""A checkpoint of another code as a run folder of ganlab's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from ganlab import importers
from ganlab.assembly import experiment
from ganlab.assembly.experiment import Experiment
from ganlab.config import compose
from ganlab.config.compose import Inherited
from ganlab.contracts.game import Game
from ganlab.contracts.plan import Progress
from ganlab.core.differences import differences
from ganlab.core.errors import GanlabError, few, suggestion
from ganlab.core.files import named, typed
from ganlab.importers import reading
from ganlab.importers.network import COUNTERS, Network, Tensors
from ganlab.runs import checkpoint_check, checkpoints, run_folder
from ganlab.runs.checkpoints import AtomicCheckpointIO

WRAPPINGS = ("model_state_dict", "state_dict")
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Part:
    """A file with the tensors of one network."""

    path: Path
    tensors: Tensors
    role: str
    iteration: int


@dataclass(frozen=True)
class Imported:
    """The run that was made from a checkpoint.

    Args:
        folder: The run.
        format: Name of the format.
        messages: What the user should know, a sentence each.
    """

    folder: Path
    format: str
    messages: tuple[str, ...]


def make_run(
    path: str,
    format_name: str | None,
    out: str | None,
    overrides: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Imported:
    """Read ``path``, a file or a folder of files, and write a run folder.

    Args:
        path: The checkpoint.
        format_name: One of `importers.formats`; None: found out.
        out: The folder; None: a new one under ``runs``.
        overrides: Options of networks and ``reg.sn`` that the tensors do not say.
        options: Those of the format, such as Hugging Face's ``truncation``.

    Raises:
        GanlabError: If the files cannot be read, are of no known format, or do not fit.
    """
    chosen, parts = _chosen(path, format_name, options or {})
    by_role = _assign(parts, path)
    part = by_role.get("generator", by_role.get("average"))
    if part is None:
        raise GanlabError(f"{path} has a {next(iter(by_role))} only; give the folder that its generator is in as well.")
    messages = []
    with _of_foreign_shapes(path):
        if "discriminator" in by_role and hasattr(chosen, "classes"):
            classes = chosen.classes(by_role["discriminator"].tensors)
            for each in by_role.values():
                each.tensors.classes = classes
        generator = chosen.generator(part.tensors, **(options or {}))
        average = chosen.generator(by_role["average"].tensors, **(options or {})) if "average" in by_role else generator
        beside = {
            role: getattr(chosen, role)(each.tensors, generator.image)
            for role, each in by_role.items()
            if role not in ("generator", "average")
        }
    wanted = getattr(chosen, "BESIDE", ("discriminator",))
    messages += [f"{path} has no {role}: the run's has fresh weights." for role in wanted if role not in beside]
    if "generator" not in by_role:
        messages.append(f"{path} has the averaged generator only: the run's generator starts from it.")
    built = _build(chosen, generator, beside, part.iteration, overrides)
    module: Any = built.module
    _fill(module.game.generator, generator, part.path)
    for role, network in beside.items():
        _fill(_own(module.game, role), network, by_role[role].path)
    for name in module.average:  # others than the generator's are in no file
        module.average[name].load_state_dict(module.game.get_submodule(name).state_dict())
    _fill(module.average["generator"], average, by_role.get("average", part).path)
    module.progress = Progress(iteration=part.iteration)
    with run_folder.claimed(out, name=chosen.NAME) as folder:
        _write(built, folder)
    return Imported(folder, chosen.NAME, tuple(messages))


def _chosen(path: str, format_name: str | None, options: Mapping[str, Any]) -> tuple[ModuleType, list[Part]]:
    """Read the files and find their format, which must be the one that is named and have the options."""
    formats = importers.formats()
    if format_name is not None and format_name not in formats:
        raise GanlabError(
            f"format={format_name} is not known.{suggestion(format_name, formats)} Formats: {', '.join(formats)}."
        )
    files = _read(path)
    with _of_foreign_shapes(path):
        chosen, parts = recognise(files, formats, path, format_name)
    for name in options:
        if name not in dict(importers.options(chosen)):
            raise GanlabError(
                f"{path} is a checkpoint of format={chosen.NAME}, which has no option {name}: leave it out."
            )
    return chosen, parts


def _read(path: str) -> dict[Path, Any]:
    """Read the files, unless they are those of a run of ganlab."""
    folder = named(path, "a checkpoint")
    if run_folder.has_checkpoint(folder):
        raise _own_checkpoint(path, typed(folder))
    found = reading.files(path)
    for file, content in found.items():
        if checkpoint_check.is_ours(content):
            inside = file.absolute().parent
            raise _own_checkpoint(path, typed(inside.parent) if inside.name == run_folder.CHECKPOINTS else "folder")
    return found


def _own_checkpoint(path: str, run: str) -> GanlabError:
    """Return the sentence for what needs no import."""
    return GanlabError(
        f"{path} is a checkpoint of ganlab: use its run {run} itself, with `ganlab sample`, or as init= of "
        f"`ganlab train`."
    )


@contextmanager
def _of_foreign_shapes(path: str) -> Iterator[None]:
    """Turn failures of a format on foreign shapes into one sentence."""
    try:
        yield
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise GanlabError(
            f"{path} names its tensors as a known format does, and their shapes are not that format's "
            f"({type(error).__name__}: {' '.join(str(error).split())[:100]})."
        ) from error


def recognise(
    files: Mapping[Path, Any], formats: Mapping[str, ModuleType], given: str, wanted: str | None = None
) -> tuple[ModuleType, list[Part]]:
    """Return the format that fits the names of the files' tensors, and the files that it reads.

    Args:
        given: What the user typed, for messages.
        wanted: The format that the user typed; None: the one that knows most of the files.

    Raises:
        GanlabError: With the formats that are known, if it is none of them, or is another one than was named.
    """
    found = {name: _parts(module, files) for name, module in formats.items()}
    best = max(found, key=lambda name: len(found[name]))  # the first one that knows most
    name = wanted or best
    if found[name]:
        return formats[name], found[name]
    if found[best]:
        raise GanlabError(f"{given} is a checkpoint of format={best}, not of format={name}: leave format={name} out.")
    raise GanlabError(f"{given} is of unknown make. Formats: {', '.join(formats)}; docs/import.md says what they are.")


def _parts(module: ModuleType, files: Mapping[Path, Any]) -> list[Part]:
    """The networks of a format in some files: one in each, or several if the format says so."""
    parts = []
    for path, content in files.items():
        several = module.networks(content) if hasattr(module, "networks") else None
        if several is not None:
            parts += [Part(path, Tensors(tensors, str(path)), role, 0) for role, tensors in several.items()]
            continue
        tensors, iteration = _unwrapped(content)
        role = module.role(tensors) if tensors else None
        if role == "generator" and ("ema" in path.stem.lower() or path.stem.lower() in getattr(module, "AVERAGES", ())):
            role = "average"
        if role is not None:
            parts.append(Part(path, Tensors(tensors, str(path)), role, iteration))
    return parts


def _unwrapped(content: Any) -> tuple[dict[str, Tensor], int]:
    """Return the tensors of a file's content, and its iterations if it has them."""
    iteration = 0
    if isinstance(content, Mapping):
        step = content.get("global_step")
        iteration = step if isinstance(step, int) and not isinstance(step, bool) and step > 0 else 0
        content = next((content[key] for key in WRAPPINGS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        return {}, 0
    tensors = {name.removeprefix("module."): value for name, value in content.items() if isinstance(value, Tensor)}
    return (tensors, iteration) if len(tensors) == len(content) else ({}, 0)


def _assign(parts: Sequence[Part], given: str) -> dict[str, Part]:
    """Assign each file to a network.

    Raises:
        GanlabError: If a folder holds several of a kind.
    """
    found: dict[str, Part] = {}
    for part in parts:
        if part.role in found:
            raise GanlabError(
                f"{given} holds several of one network, {found[part.role].path.name} and {part.path.name}: leave one "
                f"of a kind in the folder, or give one file."
            )
        found[part.role] = part
    return found


def _build(
    chosen: ModuleType, generator: Network, beside: Mapping[str, Network], iteration: int, overrides: Sequence[str]
) -> Experiment:
    """Build the run of a generator and of what its format has beside it, by role."""
    size, channels, classes = generator.image
    choices: dict[str, Any] = {"model": generator.component, "generator": generator.component, "data": "folder"}
    # batch statistics of a channels-last map are summed plainly by torch on a CPU, and then 1e-5 off what others have
    values: dict[str, Any] = {"state_updates": "every_forward", "channels_last": False}
    values |= {"data.image_size": size, "data.image_channels": channels, "data.num_classes": classes}
    values |= {f"generator.{name}": value for name, value in generator.options.items()}
    for role in getattr(chosen, "BESIDE", ("discriminator",)):
        if role in beside:
            choices[role] = beside[role].component
            values |= {f"{role}.{name}": value for name, value in beside[role].options.items()}
        else:
            values |= {f"{role}.{name}": generator.options[name] for name in generator.common}
    networks = {"generator": generator, "discriminator": beside.get("discriminator")}
    players = [name for name, network in networks.items() if (generator if network is None else network).normalized]
    if players:
        choices["reg"] = "sn"
        values |= {"reg.sn.players": players, "reg.sn.eps": chosen.SN_EPS}
        if any(network is not None and network.stored for network in networks.values()):
            values["reg.sn.evaluation"] = "stored"
    for network in (generator, *beside.values()):
        for key, value in network.settings.items():
            (values if "." in key else choices)[key] = value
    values["trainer.max_steps"] = iteration
    return experiment.build(compose.read(overrides, Inherited(choices, values)), with_data=False)


def _own(game: Game, role: str) -> nn.Module:
    """The network of a role: a module of a player, or the encoder inside of the one that judges."""
    roles = {name: module for player in game.players.values() for name, module in player.modules.items()}
    return roles[role] if role in roles else roles["discriminator"].get_submodule(role)


def _fill(ours: nn.Module, network: Network, path: Path) -> None:
    """Put every tensor of ``network`` into ``ours``.

    Raises:
        GanlabError: If tensors are missing, surplus or of another shape, by their names in the file.
    """
    wanted = ours.state_dict()
    names = {key: network.sources.get(key) or network.theirs(key) for key in {**wanted, **network.state}}
    theirs = {names[key]: value for key, value in network.state.items()}
    needed = {names[key]: value for key, value in wanted.items() if key in network.state or not COUNTERS.search(key)}
    problems = list(differences("", {**theirs, **dict.fromkeys(network.surplus)}, needed, _as_precise))
    if problems:
        raise GanlabError(f"{path} is no {network.component}: {few(problems, between='; ')}.")
    ours.load_state_dict({**wanted, **network.state})


def _as_precise(ours: Tensor) -> tuple[torch.dtype, ...]:
    """Weights may be stored in any precision."""
    return (ours.dtype, *FLOATS) if ours.is_floating_point() else (ours.dtype,)


def _write(built: Experiment, folder: Path) -> None:
    config = replace(built.config, run=replace(built.config.run, dir=str(folder)))
    module = built.module
    module.config = config.plain()
    checkpoint: dict[str, Any] = {
        "epoch": 0,
        "global_step": module.progress.iteration,
        "pytorch-lightning_version": L.__version__,
        "state_dict": module.state_dict(),
        "optimizer_states": [],
        "lr_schedulers": [],
    }
    module.on_save_checkpoint(checkpoint)
    run_folder.write_config(folder, config)
    run_folder.write_environment(folder)
    io = AtomicCheckpointIO()
    io.save_checkpoint(checkpoint, folder / run_folder.CHECKPOINTS / checkpoints.LAST)
    if io.failure is not None:
        raise GanlabError(f"{folder} cannot be written: {io.failure}.")
