"""The engine's contract: players, turns, games and regularizers.

A *player* is a set of modules with one optimizer. A *turn* evaluates the objectives of one or
several players on one batch and then steps them. A *game* says who plays, in what turns, by what
update rule, and what each player minimises. A *regularizer* hooks into all of that. What a turn
sees is a `ganlab.contracts.view.View`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

if TYPE_CHECKING:
    from ganlab.contracts.view import Points, View

Objectives = dict[str, dict[str, Tensor]]
"""What each player minimises: player -> name of the term -> scalar."""

UPDATES = ("alternating", "simultaneous", "extragradient", "optimistic")


@dataclass(frozen=True)
class Turn:
    """One evaluation of some players' objectives on one batch, and then a step of each.

    Args:
        players: Who steps. Several: one evaluation, then all step.
        every: The turn is played in iterations whose number is divisible by this.
        repeat: How often the turn is played in such an iteration.
        batch: Its batch as a share of ``data.batch_size``.
        reals: ``fresh``: every repetition gets new real images; ``same``: those that the turn
            before had; None: the turn has no real images.
        counts: Whether its real images count as images seen (kimg).
        name: What tells it from other turns of the same players, such as a lazy regularizer's.
    """

    players: tuple[str, ...]
    every: int = 1
    repeat: int = 1
    batch: float = 1.0
    reals: Literal["fresh", "same"] | None = "same"
    counts: bool = False
    name: str = "main"

    def has(self, player: str) -> bool:
        return player in self.players


@dataclass
class Player:
    """Modules that one optimizer trains, by the names that the game gives them.

    Args:
        modules: The networks; those that a regularizer adds come here too (in ``attach``).
        lazy_steps: Optimizer steps that lazy turns add to an iteration. Adam's learning rate and
            betas are corrected for them (StyleGAN2, arXiv:1912.04958, appendix B).
    """

    modules: dict[str, nn.Module]
    lazy_steps: float = 0.0

    def parameters(self) -> Iterator[nn.Parameter]:
        seen: set[int] = set()
        for module in self.modules.values():
            for parameter in module.parameters():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield parameter


@dataclass(frozen=True)
class Stage:
    """Where a growing game stands: a pure function of images seen.

    Args:
        image_size: (H, W) of the real images that the stage asks for.
        batch_size: Global batch of one discriminator turn; None: ``data.batch_size``.
        level: Level of growth, counted from 0.
        alpha: Share of the newest level's path in [0, 1].
        learning_rates: Factor on a player's learning rate.
        phase: When this number changes, the optimizers forget their state.
    """

    image_size: tuple[int, int]
    batch_size: int | None = None
    level: int = 0
    alpha: float = 1.0
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    phase: int = 0


@runtime_checkable
class Grows(Protocol):
    """A network that can grow: it holds all levels from the start and stands at one of them.

    A generator and a discriminator that follow this protocol grow together, see `ganlab.growth`. New
    ones stand at their full size: ``level == levels`` and ``alpha`` 1. A level's images have twice the
    height and width of those of the level below.

    Beside what is written below a growing network has ``alpha``, a float32 buffer without dimensions:
    the share in [0, 1] of the newest level's path, 1 where it has grown in. It is a buffer so that
    compiled code is not rebuilt when it changes, and `set_stage` fills it. (It is no member of the
    protocol, because ``isinstance`` does not find buffers.)

    Attributes:
        levels: Levels above the smallest one: stages are 0 to ``levels``.
        level: Where the network stands. What belongs to higher levels is not evaluated, so it has no
            gradient and is not trained.
    """

    levels: int
    level: int

    def set_stage(self, level: int, alpha: float) -> None:
        """Stand at ``level``, whose own path has the share ``alpha``."""

    def image_size_at(self, level: int) -> tuple[int, int]:
        """(H, W) of the images at ``level``."""


class Growth(Protocol):
    """A schedule of growth; a component of the group ``ganlab.growths``."""

    @property
    def images(self) -> int:
        """Length of the schedule."""

    def stage(self, images_seen: int) -> Stage:
        """Where the networks stand after so many images; a pure function."""

    @property
    def starts(self) -> Sequence[int]:
        """The least numbers of images seen of each phase: where level, fading or batch change; 0 first."""


class Game(nn.Module):
    """Who plays, in what turns, by what update rule, and what each player minimises.

    A subclass registers its networks as attributes and calls `seat` for each player. Parameters of
    its constructor that are named for a kind of component (``generator``, ``discriminator``,
    ``loss``) are given by the experiment; the others are its options.

    Attributes:
        provides, needs, refuses: What it declares of its company, see `ganlab.config.compatibility`.
        update: One of ``alternating`` (turn after turn), ``simultaneous`` (all turns of an
            iteration evaluated, then all step), ``extragradient``, ``optimistic``. With all but the first
            the repetitions of a turn are evaluated at one point, and their mean is taken: one larger batch.
        players: The players, by name.
        averaged: Names of the modules of which an exponential moving average is kept.
        growth: The schedule by which networks grow, or None.
        input_gradients: As a regularizer's, if `objective` itself takes input gradients.
        companions: Role -> name of the component that a run takes there unless told otherwise, for
            roles that the defaults of ``ganlab train`` leave empty or fill with what does not fit.
        one_pass: Whether `View.scores` has reals and fakes judged in one pass of the discriminator over both.
        fake_labels: ``drawn`` with the data's class shares, ``uniform``, or ``reals``: those of the turn's real
            images where it has any.
        encodes: Path of the encoder among the averaged modules, if the game has one: a module that
            gives (mean, log-variance) of the codes of images, see `ganlab.layers.gaussian`.
    """

    averaged: ClassVar[tuple[str, ...]] = ("generator",)
    input_gradients: tuple[str, ...] = ()
    companions: ClassVar[Mapping[str, str]] = {}
    encodes: ClassVar[str | None] = None
    one_pass: bool = False
    fake_labels: str = "drawn"
    provides: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    refuses: Mapping[str, str] = {}

    def __init__(self, update: str = "alternating") -> None:
        super().__init__()
        if update not in UPDATES:
            raise ValueError(f"update must be one of {', '.join(UPDATES)}, got {update!r}.")
        self.update = update
        self.players: dict[str, Player] = {}
        self.growth: Growth | None = None
        self._added_turns: list[Turn] = []
        self._shown_reals: set[str] = set()

    def seat(self, player: str, **modules: nn.Module) -> None:
        """Add modules to a player, who is created by the first call."""
        self.players.setdefault(player, Player({})).modules.update(modules)

    def add_turn(self, turn: Turn) -> None:
        """Append a turn to each iteration: how a lazy regularizer plays every n-th iteration."""
        self._added_turns.append(turn)
        for player in turn.players:
            self.players[player].lazy_steps += turn.repeat / turn.every

    def show_reals(self, player: str) -> None:
        """Give those of the player's turns that have no real images the ones that the turn before had."""
        self._shown_reals.add(player)

    def turns(self) -> Sequence[Turn]:
        """The game's own turns of one iteration, in order."""
        raise NotImplementedError

    def all_turns(self) -> list[Turn]:
        """The game's own turns and those that regularizers added."""
        turns = [*self.turns(), *self._added_turns]
        if not self._shown_reals:
            return turns
        return [
            replace(t, reals="same") if t.reals is None and not self._shown_reals.isdisjoint(t.players) else t
            for t in turns
        ]

    def objective(self, turn: Turn, view: View) -> Objectives:
        """What each of the turn's players minimises on one micro-batch, without regularizers."""
        raise NotImplementedError

    def complete(self, points: Points, view: View) -> Points:
        """Reals or fakes with what the discriminator judges beside the image: codes, in BiGAN."""
        return points

    def stage(self, images_seen: int) -> Stage | None:
        """The stage of growth, or None if the game does not grow."""
        return None if self.growth is None else self.growth.stage(images_seen)

    def set_stage(self, stage: Stage) -> None:
        """Make the networks stand at ``stage``; called when it changes."""
        for player in self.players.values():
            stand(player.modules.values(), stage)


def stand(networks: Iterable[nn.Module], stage: Stage) -> None:
    """Make those of the networks that can grow stand at ``stage``."""
    for network in networks:
        if isinstance(network, Grows):
            network.set_stage(stage.level, stage.alpha)


class Regularizer(nn.Module):
    """Anything that adds a term to a player's objective, changes its modules or gradients, or
    constrains its weights. Every hook is optional; only those that a class overrides are called.

    State lives in buffers and parameters, so it is saved, resumed and moved to the device.

    Attributes:
        provides, needs, refuses: What it declares of its company, see `ganlab.config.compatibility`.
        input_gradients: Roles of the points (``real``, ``fake``) at which `terms` takes input
            gradients in the main turn. The engine then makes the main forward pass serve for
            them where it can (float32, not compiled), which saves one pass.
        idle_hooks: Hooks that the class overrides but its options do without, so that they are not called.
        player_gradients: Players by whose parameters `terms` differentiates (`View.player_gradient`),
            in the turns of others too. Their graphs are then made in every turn.
        reads_features: Whether `terms` asks for features. Logits are then made of them, in one pass.
    """

    provides: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    refuses: Mapping[str, str] = {}
    input_gradients: tuple[str, ...] = ()
    idle_hooks: tuple[str, ...] = ()
    player_gradients: tuple[str, ...] = ()
    reads_features: bool = False

    def attach(self, game: Game) -> None:
        """Parametrize modules, add modules, players or turns; before optimizers and EMA exist."""

    def during(self, turn: Turn) -> AbstractContextManager[None]:
        """Surrounds the evaluation of one micro-batch; not called with ``state_updates=every_forward``."""
        return nullcontext()

    def images(self, images: Tensor, role: str, view: View) -> Tensor:
        """Change what the discriminator sees: augmentation, instance noise."""
        return images

    def features(self, features: Tensor, role: str, view: View) -> Tensor:
        """Change the discriminator's last map before its head: an information bottleneck."""
        return features

    def scores(self, real_logits: Tensor | None, fake_logits: Tensor, view: View) -> tuple[Tensor | None, Tensor]:
        """Change what the adversarial loss sees: top-k. ``real_logits`` is None where it does without."""
        return real_logits, fake_logits

    def terms(self, turn: Turn, view: View) -> Objectives:
        """Terms to add to the players' objectives on one micro-batch."""
        return {}

    def gradients(self, turn: Turn, gradients: dict[str, list[Tensor]]) -> None:
        """Change gradients in place, after accumulation and averaging over ranks, before the step.

        ``gradients[player]`` belongs, in order, to those of the player's parameters that have one.
        """

    def after_step(self, turn: Turn) -> None:
        """Weight clipping, singular-value clamping, dual variables; after the turn's players stepped."""


def overrides(regularizer: Regularizer, hook: str) -> bool:
    """Whether a regularizer implements ``hook`` itself, and its options make use of it."""
    return hook not in regularizer.idle_hooks and getattr(type(regularizer), hook) is not getattr(Regularizer, hook)
