"""The vector field of a small game, and its Jacobian by automatic differentiation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from ganlab.contracts.turn import Turn
from ganlab.dynamics.play import Play

_CLOSE = 1e-9  # of two computations of one gradient
_STEP = 1e-5  # of central differences
_ALIKE = 1e-4  # of a derivative and differences
_PROBES = (0.37, -0.61, 0.83, -0.29)  # added to w* in turn: a point where nothing vanishes, and its opposite


@dataclass(frozen=True)
class OfTurn:
    """The gradients of one turn's players as a function of all weights.

    Args:
        batched: (S, P) -> (S, P).
        jacobian: (P,) -> (P, P), the derivative by automatic differentiation; None where there is none.
        for_many_calls: Makes of S the function ``batched`` for S points alone, which takes time but is faster.
    """

    batched: Callable[[Tensor], Tensor]
    jacobian: Callable[[Tensor], Tensor] | None
    for_many_calls: Callable[[int], Callable[[Tensor], Tensor]]


class Field:
    """v(w): the gradient of each player's objective by its own weights, all players at the same weights w.

    It is made of the turns of an iteration as the engine plays it, with what regularizers add and change. The
    operations of a turn, those of its backward pass too, are recorded once; they are then repeated for many weights at
    a time, and differentiated through what training takes as constant, such as fakes in the discriminator's turn. A
    turn whose operations depend on the weights, or whose gradients a regularizer changes afterwards, is played by the
    engine at each point.

    Args:
        play: The game; its weights and state are as before after each call.
        like: A field of a game with the same networks, loss and regularizers, whose recorded operations serve here too;
            update rule, repetitions and optimizers may be others.
    """

    def __init__(self, play: Play, like: Field | None = None) -> None:
        self.play = play
        self._turns: dict[Turn, OfTurn] = {} if like is None else like._turns
        self._jacobians: dict[Turn, tuple[Tensor, Tensor]] = {}  # the last of each turn, and where
        self._by_differences: set[Turn] = set()
        self._shares = {}
        for slot in play.slots():
            owned = play.game.owns(slot.turn)
            self._shares[slot.turn] = 1.0 if owned else 1 / slot.turn.every

    @property
    def exact(self) -> bool:
        """Tell if all derivatives so far are by automatic differentiation."""
        return not self._by_differences

    def __call__(self, weights: Tensor) -> Tensor:
        """Return v (S, P) at weights (S, P)."""
        return torch.stack([share * self.of(turn).batched(weights) for turn, share in self._shares.items()]).sum(0)

    def jacobian(self, weights: Tensor) -> Tensor:
        """Return dv/dw (P, P) at weights (P,)."""
        return torch.stack([share * self.jacobian_of(turn, weights) for turn, share in self._shares.items()]).sum(0)

    def jacobian_of(self, turn: Turn, weights: Tensor) -> Tensor:
        """Return the derivative (P, P) of the gradients of one turn, all gradients by all weights.

        It is compared with central differences, which are taken where they differ: the derivative of a power that is
        replaced where its base is 0 (`ganlab.regularizers.gradient_norm`) is right in all other points alone.
        """
        if turn in self._jacobians and torch.equal(self._jacobians[turn][1], weights):
            return self._jacobians[turn][0]
        of = self.of(turn)
        steps = _STEP * torch.eye(len(weights), dtype=torch.float64)
        found = ((of.batched(weights + steps) - of.batched(weights - steps)) / (2 * _STEP)).mT
        exact = None if of.jacobian is None else of.jacobian(weights).detach()
        if exact is not None and torch.allclose(exact, found, rtol=_ALIKE, atol=_ALIKE):
            found = exact
        else:
            self._by_differences.add(turn)
        self._jacobians[turn] = (found, weights.clone())
        return found

    def of(self, turn: Turn) -> OfTurn:
        """Return the gradients of one turn."""
        once = replace(turn, repeat=1)
        if once not in self._turns:
            self._turns[once] = self._recorded(once) or self._played(once)
        return self._turns[once]

    def _recorded(self, turn: Turn) -> OfTurn | None:
        play = self.play
        if play.hooks.gradients:
            return None
        rest = play.problem.rest
        probe = torch.tensor([_PROBES[i % len(_PROBES)] for i in range(len(rest))], dtype=torch.float64)
        points = torch.stack([rest + probe, rest - probe, rest + 2 * probe.flip(0)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's tracing, about what follows in any case
            try:
                graph = _simplified(make_fx(partial(play.traced, turn))(points[0]))
                found = torch.vmap(graph)(points)
            except (RuntimeError, ValueError, TypeError, NotImplementedError):
                return None
            finally:
                play.restore()
        played = self._played(turn)
        if not torch.allclose(found, played.batched(points), rtol=_CLOSE, atol=_CLOSE, equal_nan=True):
            return None

        @cache
        def for_many_calls(count: int) -> Callable[[Tensor], Tensor]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return _without_graph(_folded(make_fx(torch.vmap(graph))(points[:1].repeat(count, 1))))

        return OfTurn(_without_graph(torch.vmap(graph)), torch.func.jacrev(graph), for_many_calls)

    def _played(self, turn: Turn) -> OfTurn:
        play = self.play

        def at(weights: Tensor) -> Tensor:
            play.set(weights)
            return play.gradient(turn)

        def batched(weights: Tensor) -> Tensor:
            before = play.weights
            try:
                return torch.stack([at(one) for one in weights])
            finally:
                play.set(before)

        return OfTurn(batched, None, lambda count: batched)


def _simplified(graph: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """Return recorded operations through all of which derivatives go."""
    detach = (torch.ops.aten.detach.default, torch.ops.aten.alias.default)
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and node.target in detach:
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _folded(graph: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """Return recorded operations without those that do not depend on the input, whose results are kept."""
    known: dict[torch.fx.Node, Tensor] = {}
    for node in list(graph.graph.nodes):
        if node.op == "get_attr":
            known[node] = getattr(graph, str(node.target))
        elif node.op == "call_function" and all(each in known for each in node.all_input_nodes):
            arguments = torch.fx.node.map_arg((node.args, node.kwargs), lambda each: known[each])
            value = node.target(*arguments[0], **arguments[1])  # type: ignore[operator]
            if isinstance(value, Tensor):
                known[node] = value
    for at, (node, value) in enumerate(known.items()):
        if node.op == "call_function":
            name = f"_kept_{at}"
            graph.register_buffer(name, value)
            with graph.graph.inserting_before(node):
                node.replace_all_uses_with(graph.graph.get_attr(name))
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _without_graph(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def call(weights: Tensor) -> Tensor:
        with torch.no_grad():
            return function(weights)

    return call
