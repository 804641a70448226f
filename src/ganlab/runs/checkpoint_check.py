"""Refuse a checkpoint that does not fit a run, before any of it is used.

A checkpoint may come from somebody else, and torch and Lightning do not check it: moments of another shape end the
process with a segmentation fault, other errors end it with a traceback or train a different model.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from ganlab.contracts.growth import Grows, Stage
from ganlab.contracts.plan import Progress
from ganlab.core.differences import Dtypes, Problems, differences, is_data, said
from ganlab.core.errors import GanlabError, few
from ganlab.engine.module import GameModule

VERSION = "pytorch-lightning_version"
STEPS = "epoch_loop.manual_optimization.optim_step_progress"  # of Lightning's loops; counts iterations, see the module


class MisfitError(GanlabError):
    """A checkpoint that does not fit a run."""


def is_ours(checkpoint: Any) -> bool:
    """Tell if a value is a checkpoint of ganlab, and not another file of torch."""
    if not isinstance(checkpoint, Mapping) or not isinstance(checkpoint.get("ganlab"), Mapping):
        return False
    progress, weights = checkpoint["ganlab"].get("progress"), checkpoint.get("state_dict")
    return (
        isinstance(progress, Mapping)
        and set(progress) == {field.name for field in fields(Progress)}
        and all(_is_count(number) for number in progress.values())
        and isinstance(weights, Mapping)
        and all(isinstance(weight, Tensor) for weight in weights.values())
    )


def taken(
    module: GameModule,
    checkpoint: Mapping[str, Any],
    path: Any,
    loops: Mapping[str, Any] | None = None,
    callbacks: Collection[str] = (),
) -> dict[str, Any]:
    """Return the part of a checkpoint that a run uses, in the form that this run writes.

    Args:
        module: The run's, as it was built.
        checkpoint: As `ganlab.runs.checkpoints.load` gives it.
        path: Its file, for messages.
        loops: The initial state of Lightning's loops, to resume training; None: use the networks only.
        callbacks: Lightning's keys of the run's callbacks; the state of others is ignored.

    Raises:
        MisfitError: If something is missing, surplus, of another type, shape or dtype, or contradicts the rest.
    """
    stored = checkpoint["ganlab"]
    dtypes = _dtypes(stored.get("config"))
    _refuse(path, "belongs to another model", differences("", checkpoint["state_dict"], module.state_dict(), dtypes))
    entries = ("phase", "stage", "optimistic")
    _refuse(path, "does not fit this run", (f"its {entry} is missing" for entry in entries if entry not in stored))
    trained = "loops" in checkpoint  # an imported one is not
    problems = [*_of_stage(module, stored), *_of_last_steps(module, stored, trained, dtypes)]
    found = {"state_dict": checkpoint["state_dict"]}
    if loops is not None:
        optimizers = module.player_optimizers.make()
        problems += [
            *_of_training(module, checkpoint, optimizers, loops, dtypes),
            *_of_callbacks(checkpoint, callbacks),
        ]
    _refuse(path, "does not fit this run", problems)
    found["ganlab"] = {**stored, "optimistic": {p: _own(steps) for p, steps in stored["optimistic"].items()}}
    if loops is None:
        return found
    step = checkpoint["global_step"]
    return {
        **found,
        "epoch": checkpoint["epoch"],
        "global_step": step,
        "loops": {"fit_loop": _form_of_loops(checkpoint, loops) if trained else _at(step, loops)},
        VERSION: L.__version__,
        "callbacks": {key: state for key, state in _states(checkpoint).items() if key in callbacks},
        "lr_schedulers": [],
        # options of optimizers are the configuration's; the tensors are copied, because in a file two may share memory
        "optimizer_states": [
            {"state": _own(theirs["state"]), "param_groups": ours.state_dict()["param_groups"]}
            for theirs, ours in zip(checkpoint["optimizer_states"], optimizers, strict=False)
        ],
    }


# --- parts of a checkpoint


def _states(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    states = checkpoint.get("callbacks")
    return states if isinstance(states, Mapping) else {}


def _of_callbacks(checkpoint: Mapping[str, Any], callbacks: Collection[str]) -> Problems:
    """Check that the states of callbacks are data; only the callbacks know their form."""
    for key, state in _states(checkpoint).items():
        if key in callbacks and not (isinstance(state, Mapping) and is_data(state)):
            yield f"the state of the callback {said(key)} is no mapping of numbers, words and tensors"


def _of_stage(module: GameModule, stored: Mapping[str, Any]) -> Problems:
    stage, phase, played = stored["stage"], stored["phase"], stored["progress"]["iteration"] > 0
    if module.game.growth is None or not played:
        if stage is not None or phase is not None:
            yield f"it has a stage of growth ({said(stage)}, phase {said(phase)}), and the run has none"
        return
    wanted = {field.name for field in fields(Stage)}
    last = module.game.growth.stage(module.game.growth.images)
    if isinstance(stage, Mapping):  # older runs lack what their schedule does not use
        unused = {"average"} if not last.average else set()
        unused |= {"gradient_scale"} if module.game.growth.stage(0).gradient_scale == 1 else set()
        wanted -= unused - set(stage)
    if not isinstance(stage, Mapping) or set(stage) != wanted:
        yield f"its stage of growth is {said(stage)}"
        return
    networks = [n for player in module.game.players.values() for n in player.modules.values() if isinstance(n, Grows)]
    level, size, batch = stage["level"], stage["image_size"], stage["batch_size"]
    if not _is_count(level) or level > min(network.levels for network in networks):
        yield f"its level of growth is {said(level)}"
    elif not _are_counts(size) or tuple(size) != tuple(networks[0].image_size_at(level)):
        yield f"its image size is {said(size)} at level {level}"
    if not _is_number(stage["alpha"]) or not 0 <= stage["alpha"] <= 1:
        yield f"its alpha of growth is {said(stage['alpha'])}"
    by_schedule = module.game.growth.stage(0).batch_size
    if type(batch) is not type(by_schedule) or (batch is not None and batch <= 0):
        yield f"its batch of the stage is {said(batch)}"
    rates = stage["learning_rates"]
    if not isinstance(rates, Mapping) or not all(n in module.game.players and _is_number(r) for n, r in rates.items()):
        yield f"its learning rates of the stage are {said(rates)}"
    if not _is_count(stage.get("average", 0)):
        yield f"its average of the stage is {said(stage['average'])}"
    scale = stage.get("gradient_scale", 1.0)
    if not _is_number(scale) or not 0 < scale <= 1:
        yield f"its scale of gradients is {said(scale)}"
    if not _is_count(phase) or type(stage["phase"]) is not int or stage["phase"] != phase:
        yield f"its phase is {said(phase)}, and that of its stage {said(stage['phase'])}"


def _of_last_steps(module: GameModule, stored: Mapping[str, Any], trained: bool, dtypes: Dtypes) -> Problems:
    """Check the last steps of each player, which the optimistic update keeps."""
    steps = stored["optimistic"]
    if not isinstance(steps, Mapping):
        yield f"its last steps are {said(steps)}"
        return
    optimistic = module.game.update == "optimistic"
    wanted = _playing(module) if optimistic and trained and stored["progress"]["iteration"] else set()
    yield from (f"the last step of {player} is missing" for player in sorted(wanted - set(steps)))
    for player, theirs in steps.items():
        ours = module.player_optimizers.parameters.get(player) if optimistic else None
        if ours is None:
            yield f"it has a last step of {said(player)}, and the run has none"
        else:
            yield from differences(f"last step of {player}", theirs, [p.detach() for p in ours], dtypes)


def _of_training(
    module: GameModule,
    checkpoint: Mapping[str, Any],
    optimizers: Sequence[torch.optim.Optimizer],
    loops: Mapping[str, Any],
    dtypes: Dtypes,
) -> Problems:
    """Check optimizers and loops, which only a resumed training uses."""
    counts = {name: _is_count(checkpoint.get(name)) for name in ("epoch", "global_step")}
    kinds = {VERSION: str, "optimizer_states": list}
    types = {name: type(checkpoint.get(name)) is kind for name, kind in kinds.items()}
    wrong = [name for name, right in (counts | types).items() if not right]
    if wrong:
        yield f"its {wrong[0]} is {said(checkpoint.get(wrong[0]))}"
        return
    states, step = checkpoint["optimizer_states"], checkpoint["global_step"]
    if "loops" not in checkpoint:
        if states:
            yield "it has optimizers and no loops"
        if step > checkpoint["ganlab"]["progress"]["iteration"]:
            yield f"its global_step is {said(step)}, and it has no loops"
        return
    form = _form_of_loops(checkpoint, loops)
    found = list(differences("loops", form, loops, dtypes))
    yield from found
    if not found:
        steps = list(form[STEPS]["total"].values())
        if steps != [step] * len(steps) or step > checkpoint["ganlab"]["progress"]["iteration"]:
            yield f"its loops count {said(steps)} iterations, its global_step {said(step)}"
    if len(states) != len(optimizers):
        yield f"it has {len(states)} optimizers instead of {len(optimizers)}"
        return
    names = {id(parameter): name for name, parameter in module.game.named_parameters()}
    stepped = _playing(module) if checkpoint["ganlab"]["progress"]["iteration"] else set()
    for player, state, ours in zip(module.game.players, states, optimizers, strict=True):
        yield from _of_optimizer(module, player, state, ours, names, player in stepped, dtypes)


def _of_optimizer(
    module: GameModule,
    player: str,
    theirs: Any,
    ours: torch.optim.Optimizer,
    names: Mapping[int, str],
    stepped: bool,
    dtypes: Dtypes,
) -> Problems:
    """Check the moments of one player's parameters; parameters without a gradient so far have none."""
    whole = isinstance(theirs, Mapping) and {"state", "param_groups"} <= set(theirs)
    if not whole or not isinstance(theirs["state"], Mapping) or not isinstance(theirs["param_groups"], list):
        yield f"the optimizer of {player} is {said(theirs)}"
        return
    wanted = [group["params"] for group in ours.state_dict()["param_groups"]]
    found = [group.get("params") if isinstance(group, Mapping) else None for group in theirs["param_groups"]]
    if not all(map(_are_counts, found)) or found != wanted:
        yield f"the optimizer of {player} is for other parameters"
        return
    parameters = [parameter for group in ours.param_groups for parameter in group["params"]]
    examples: dict[Any, Any] = {}
    for index, state in theirs["state"].items():
        if not _is_count(index) or index >= len(parameters):
            yield f"the optimizer of {player} has a state of {said(index)}"
            continue
        parameter = parameters[index]
        kind = tuple(parameter.shape), parameter.dtype
        if kind not in examples:
            examples[kind] = _example_of_state(module, player, parameter)
        where = f"optimizer of {player}: {names.get(id(parameter), f'parameter {index}')}"
        yield from differences(where, state, examples[kind], dtypes)
    lost = stepped and not theirs["state"] and parameters
    if lost and _example_of_state(module, player, parameters[0]):
        yield f"the optimizer of {player} has no state"


def _example_of_state(module: GameModule, player: str, parameter: Tensor) -> dict[str, Any]:
    """Return the state that the player's optimizer has of a parameter of this shape, after one step."""
    like = nn.Parameter(torch.zeros_like(parameter, device="cpu"))
    like.grad = torch.zeros_like(like)
    optimizer = module.player_optimizers.factories[player](iter([like]))
    optimizer.step()
    return dict(optimizer.state[like])


def _playing(module: GameModule) -> set[str]:
    """The players that step in every iteration."""
    return {player for turn in module.game.all_turns() if turn.every == 1 for player in turn.players}


def _dtypes(config: Any) -> Dtypes:
    """The dtypes in which a run of this configuration stores a tensor: Lightning makes all floats double with
    ``trainer.precision=64-true``, but not those that an optimizer counts with."""
    trainer = config.get("trainer") if isinstance(config, Mapping) else None
    precision = str(trainer.get("precision")) if isinstance(trainer, Mapping) else ""
    if precision not in ("64", "64-true"):
        return lambda ours: (ours.dtype,)

    def double(ours: Tensor) -> tuple[torch.dtype, ...]:
        if not ours.is_floating_point():
            return (ours.dtype,)
        return (torch.float64,) if ours.ndim else (torch.float64, ours.dtype)

    return double


def _form_of_loops(checkpoint: Mapping[str, Any], ours: Mapping[str, Any]) -> Any:
    """Return the state of the checkpoint's loops in the form of the installed version of Lightning."""
    loops = checkpoint["loops"].get("fit_loop") if isinstance(checkpoint["loops"], Mapping) else None
    return loops if checkpoint[VERSION] == L.__version__ else _merged(ours, loops)


def _at(step: int, loops: Mapping[str, Any]) -> dict[str, Any]:
    """The state of loops that begin after ``step`` iterations: those of an imported run, which were not Lightning's."""
    steps = loops[STEPS]
    return {**loops, STEPS: {**steps, "total": dict.fromkeys(steps["total"], step)}}


def _merged(ours: Mapping[str, Any], theirs: Any) -> dict[str, Any]:
    found = dict(ours)
    for key, value in theirs.items() if isinstance(theirs, Mapping) else ():
        if key in ours and isinstance(ours[key], Mapping):
            found[key] = _merged(ours[key], value)
        elif key in ours and type(value) is type(ours[key]) and (type(value) is bool or _is_count(value)):
            found[key] = value
    return found


def _own(value: Any) -> Any:
    """A copy whose tensors share no memory."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: _own(inner) for key, inner in value.items()}
    return [_own(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _refuse(path: Any, what: str, problems: Iterable[str]) -> None:
    if found := list(problems):
        raise MisfitError(f"{path} {what}: {few(found, between='; ')}.")


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _are_counts(values: Any) -> bool:
    return isinstance(values, (list, tuple)) and all(map(_is_count, values))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
