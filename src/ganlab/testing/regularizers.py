"""The contract of regularizers."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer, hooks_of, overrides
from ganlab.contracts.turn import Turn
from ganlab.core import randomness
from ganlab.core.errors import GanlabError
from ganlab.layers import state
from ganlab.testing.attributes import Attributes
from ganlab.testing.comparison import check_slope, close, kept, require
from ganlab.testing.toys import rehearse, toy_game, view_of_rehearsal


@torch.random.fork_rng(devices=[])
def check_regularizer(regularizer: Regularizer, *, exact_gradient: bool = True) -> list[str]:
    """Check a regularizer on two toy games, one of images and one of points in the plane.

    Its terms are finite scalars of the networks' dtype, and depend on nothing but the state and the key of the turn;
    the players' gradients agree with differences of the objectives; hooks for gradients keep shapes; steps leave
    weights finite; inside a turn no Python attribute changes; a state dict carries everything over.

    Args:
        regularizer: One that is not attached to a game.
        exact_gradient: False for a term in which something is held constant on purpose.

    Returns:
        Checks that do not apply, each with its reason: such as a game that the regularizer refused.
    """
    skipped = []
    for shape in ((3, 8, 8), (2,)):
        try:
            game, attached = _attached(regularizer, shape)
        except (GanlabError, ValueError) as error:
            require(str(error).strip() != "", "a refusal must say its reason")
            skipped.append(f"a game with images of shape {shape}: {error}")
            continue
        try:
            hooks_of(game, [attached])
        except GanlabError as error:
            raise AssertionError(str(error)) from error
        before = Attributes(game, attached)
        for turn in game.all_turns():
            what = f"{type(regularizer).__name__} in the turn {turn.name!r} of {'+'.join(turn.players)}"
            _check_terms(what, game, attached, turn)
            if exact_gradient and _shapes_objectives(attached):
                _check_objectives(what, game, attached, turn)
            _check_step(what, game, attached, turn)
            changed = ", ".join(before.changed())
            require(not changed, f"{what} changes {changed}: state that moves in a turn belongs in buffers")
        _check_state(regularizer, game, attached, shape)
    return skipped


def _check_terms(what: str, game: Game, regularizer: Regularizer, turn: Turn) -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(rehearse(*copy.deepcopy((game, [regularizer])), turn))
        expected = torch.random.get_rng_state()
        torch.manual_seed(seed)
        require(torch.equal(expected, torch.random.get_rng_state()), f"{what} moves torch's generator")
    for player, terms in found[0].items():
        for name, value in terms.items():
            require(value.shape == (), f"{what}: {name} must be a scalar, got shape {tuple(value.shape)}")
            require(value.dtype == torch.float64, f"{what}: {name} must keep float64, got {value.dtype}")
            require(math.isfinite(value.detach()), f"{what}: {name} is {float(value.detach())}")
            same = torch.equal(value, found[1][player][name])
            require(same, f"{what}: {name} differs between two evaluations with one key: draw through view.draw")


def _shapes_objectives(regularizer: Regularizer) -> bool:
    return any(overrides(regularizer, hook) for hook in ("images", "features", "scores", "terms"))


def _check_objectives(what: str, game: Game, regularizer: Regularizer, turn: Turn) -> None:
    for player in turn.players:
        parameters = list(game.players[player].parameters())

        def objective(player: str = player) -> Tensor:
            terms = rehearse(game, [regularizer], turn).get(player, {})
            return torch.stack([*terms.values(), torch.zeros((), dtype=torch.float64)]).sum()

        with kept(game, regularizer):
            if objective().requires_grad:
                check_slope(f"{what}: what {player} minimises", objective, parameters)


def _check_step(what: str, game: Game, regularizer: Regularizer, turn: Turn) -> None:
    game.zero_grad(set_to_none=True)
    regularizer.zero_grad(set_to_none=True)
    view = view_of_rehearsal(game, [regularizer], turn)
    with randomness.using(view.stream), state.passing(moves=False):
        objectives = view.objectives()
    gradients = {}
    for i, player in enumerate(turn.players):
        parameters = [p for p in game.players[player].parameters() if p.requires_grad]
        total = torch.stack([*objectives.get(player, {}).values(), torch.zeros((), dtype=torch.float64)]).sum()
        if total.requires_grad:
            total.backward(inputs=parameters, retain_graph=i < len(turn.players) - 1)  # type: ignore[arg-type]
        gradients[player] = [p.grad for p in parameters if p.grad is not None]
    shapes = {player: [g.shape for g in group] for player, group in gradients.items()}
    for hook in view.hooks.gradients:
        if hook.acts_in(turn):
            hook.call(hook.player, gradients[hook.player])
    for player, group in gradients.items():
        require([g.shape for g in group] == shapes[player], f"{what} changes the shapes of {player}'s gradients")
        require(all(bool(g.isfinite().all()) for g in group), f"{what}: {player}'s gradients are not finite")
    with torch.no_grad():
        for player in turn.players:
            for parameter in game.players[player].parameters():
                if parameter.grad is not None:
                    parameter.sub_(1e-3 * parameter.grad)
    view.pending.settle()
    for hook in view.hooks.after_step:
        if hook.acts_in(turn):
            hook.call(hook.player)
    for module in (game, regularizer):
        for name, tensor in module.state_dict().items():
            require(bool(tensor.isfinite().all()), f"{what}: {name} is not finite after a step")


def _check_state(regularizer: Regularizer, game: Game, played: Regularizer, shape: Sequence[int]) -> None:
    fresh_game, fresh = _attached(regularizer, shape, seed=1)
    fresh_game.load_state_dict(game.state_dict())
    fresh.load_state_dict(played.state_dict())
    for turn in game.all_turns():
        with kept(game, played, fresh_game, fresh):
            expected, found = rehearse(game, [played], turn), rehearse(fresh_game, [fresh], turn)
        for player, terms in expected.items():
            for name, value in terms.items():
                close(f"{player}'s {name} after a state-dict round trip", found[player][name], value, 1e-9)


def _attached(regularizer: Regularizer, shape: Sequence[int], seed: int = 0) -> tuple[Game, Regularizer]:
    fresh = copy.deepcopy(regularizer)
    torch.manual_seed(seed)
    game = toy_game(shape)
    fresh.attach(game)
    return game.double(), fresh.double()
