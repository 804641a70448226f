"""Forward passes of a game's networks in one micro-batch, each made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from ganlab.contracts.hooks import Hooks
from ganlab.contracts.points import Points
from ganlab.contracts.setting import Setting
from ganlab.contracts.turn import Objectives, Player, Turn
from ganlab.layers import state
from ganlab.layers.second_derivatives import differentiated_twice

Kept = TypeVar("Kept")


class ViewedGame(Protocol):
    """A `ganlab.contracts.game.Game` as far as a view uses it."""

    players: dict[str, Player]
    input_gradients: tuple[str, ...]
    one_pass: bool
    fake_labels: str

    def get_submodule(self, target: str) -> nn.Module: ...
    def owns(self, turn: Turn) -> bool: ...
    def objective(self, turn: Turn, view: Any) -> Objectives: ...
    def complete(self, points: Points, view: Any) -> Points: ...
    def judged(self, output: Any, points: Points | None = None) -> Tensor: ...
    def per_image(self, logits: Tensor) -> Tensor: ...


class Passes:
    """Outputs of the networks in one micro-batch of a turn, after the regularizers' hooks; kept until it ends.

    Args:
        game: The game, whose networks are called.
        hooks: The regularizers' hooks.
        turn: The turn.
        setting: The options that all views of the run share.
    """

    def __init__(self, game: ViewedGame, hooks: Hooks, turn: Turn, setting: Setting) -> None:
        self.game, self.hooks, self.turn, self.setting = game, hooks, turn, setting
        self._owners = {name: player for player, p in game.players.items() for name in p.modules}
        self._first_pass: dict[str, Any] = {}
        self._cache: dict[Any, Any] = {}

    def run(
        self,
        name: str,
        *inputs: Any,
        method: str = "forward",
        part_of: Any = None,
        sizes: Sequence[int] = (),
        role: str = "none",
        twice: bool = False,
    ) -> Any:
        """Call the game's module ``name``. Its running state moves if its player has this turn and
        this is the module's first pass in the micro-batch (for a discriminator that is the pass
        over the reals, or over both), or always with ``state_updates=every_forward``.

        Args:
            part_of: The subject of the pass; calls with the same subject are parts of one pass.
            sizes: Of the batches that the inputs are a concatenation of; none: they are one.
            role: That of the images, if the pass is over some.
            twice: Gradients by the inputs are to be differentiated again.
        """
        module = self.game.get_submodule(name)
        call = module if method == "forward" else getattr(module, method)
        part_of = object() if part_of is None else part_of
        first = self._first_pass.setdefault(name, part_of) is part_of
        moves = self.setting.every_forward or (self._plays(name) and first)
        again = differentiated_twice(twice or bool(self.hooks.player_gradients))
        with state.passing(moves=moves, sizes=sizes, role=role), self.setting.timer(f"{name} forward"), again:
            return call(*inputs)

    def seen(self, points: Points) -> Tensor:
        """Return the images as the discriminator sees them: after the regularizers' hooks."""

        def compute() -> Tensor:
            images = points.images
            for hook in self.hooks.images:
                images = hook(images, points.role, self)
            return images

        return self._once(("seen", points), compute)

    def features(self, points: Points) -> Tensor:
        """Return the discriminator's last map before its head, after the regularizers' hooks."""
        return self._once(("features", points), lambda: self._features_of([points])[0])

    def logits(self, points: Points) -> Tensor:
        """Return D(x, y), (B,) float32, high for real; through the regularizers' hooks."""

        def compute() -> Tensor:
            by_features = self.hooks.by_features or ("features", points) in self._cache
            return self._logits_of([points], [self.features(points)] if by_features else None)[0]

        return self._once(("logits", points), compute)

    def judge_together(self, *group: Points) -> None:
        """Keep the discriminator's logits of one pass over all of ``group``."""
        maps = self._features_of(group) if self.hooks.by_features else []
        self._cache.update(zip((("features", points) for points in group), maps, strict=False))
        answers = zip(group, self._logits_of(group, maps or None), strict=True)
        self._cache.update((("logits", points), own) for points, own in answers)

    def eager_logits(self, points: Points) -> Tensor:
        """Return logits of a separate pass, in the precision of the images and never compiled as a whole."""
        discriminator = cast(Any, self.game.get_submodule("discriminator"))
        images = self.seen(points)
        with state.passing(role=points.role), differentiated_twice():
            if not hasattr(discriminator, "head"):  # ``forward`` itself: a compiled module compiles its call only
                return self.game.judged(discriminator.forward(images, *points.conditions))
            maps = discriminator.features(images, *points.conditions)
            for hook in self.hooks.features:
                maps = hook(maps, points.role, self)
            return self.game.judged(discriminator.head(maps, points.labels))

    # --- inside

    def _features_of(self, group: Sequence[Points]) -> list[Tensor]:
        """Return the last maps before the head, of one pass over all of ``group``."""
        images, conditions, sizes = self._joined(group)
        whole = self._judge(group, images, *conditions, method="features", sizes=sizes)
        found = []
        for points, own in zip(group, _parts(whole, sizes), strict=True):
            for hook in self.hooks.features:
                own = hook(own, points.role, self)
            found.append(own)
        return found

    def _logits_of(self, group: Sequence[Points], maps: Sequence[Tensor] | None) -> list[Tensor]:
        """Return logits in float32 at least, of one pass over all of ``group``.

        Args:
            maps: The features of the same pass, which the head then judges; None: the pass begins with the images.
        """
        if maps is None:
            images, conditions, sizes = self._joined(group)
            whole = self._judge(group, images, *conditions, sizes=sizes)
        else:
            sizes = [points.images.shape[0] for points in group]
            labels = _whole([points.labels for points in group])
            whole = self._judge(group, _whole(maps), labels, method="head", sizes=sizes)
        whole = self.game.judged(whole, group[-1])
        return list(_parts(whole.float() if whole.dtype in (torch.bfloat16, torch.float16) else whole, sizes))

    def _judge(self, group: Sequence[Points], *inputs: Any, method: str = "forward", sizes: Sequence[int]) -> Any:
        own: dict[str, Any] = {"method": method, "part_of": group[0], "sizes": sizes, "role": group[-1].role}
        return self.run("discriminator", *inputs, twice=any(map(self._is_source, group)), **own)

    def _is_source(self, points: Points) -> bool:
        """Tell if a penalty asks for the input gradient at these images: then they have no graph behind them."""
        return points.images.is_leaf and points.images.requires_grad

    def _joined(self, group: Sequence[Points]) -> tuple[Tensor | None, list[Tensor | None], list[int]]:
        """Return the images as the discriminator sees them, its other inputs, and the number of images of each kind."""
        images = _whole([self.seen(points) for points in group])
        conditions = [_whole(given) for given in zip(*(points.conditions for points in group), strict=True)]
        return images, conditions, [points.images.shape[0] for points in group]

    def _once(self, what: Any, compute: Callable[[], Kept]) -> Kept:
        if what not in self._cache:
            self._cache[what] = compute()
        found: Kept = self._cache[what]
        return found

    def _plays(self, module: str) -> bool:
        return self._owners.get(module) in self.turn.players


def _whole(parts: Sequence[Tensor | None]) -> Tensor | None:
    return parts[0] if len(parts) == 1 or parts[0] is None else torch.cat(cast(list[Tensor], list(parts)))


def _parts(whole: Tensor, sizes: Sequence[int]) -> Sequence[Tensor]:
    return (whole,) if len(sizes) == 1 else whole.split(list(sizes))
