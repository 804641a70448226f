"""A game on points that is trained in memory: the iterations of ``ganlab train``, without a run folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.assembly import automatic, run_data, run_networks, size_check
from ganlab.assembly import game as games
from ganlab.config import compose
from ganlab.config.compose import Inherited
from ganlab.config.configuration import Config
from ganlab.contracts.plan import Progress, Slot, plan
from ganlab.contracts.point_set import PointSet
from ganlab.contracts.regularizer import hooks_of
from ganlab.contracts.setting import Setting
from ganlab.core import registry
from ganlab.core.errors import GanlabError
from ganlab.core.randomness import Stream
from ganlab.dynamics.building import read_defaults
from ganlab.engine.loader import Loader
from ganlab.engine.player_optimizers import PlayerOptimizers
from ganlab.engine.reals import Reals
from ganlab.engine.turns import Turns
from ganlab.engine.updates import RULES
from ganlab.evaluation import sources
from ganlab.layers import state
from ganlab.sampling import generation

_BATCH = 1000  # points that go through a network together


def configuration(data: str | None, words: Sequence[str]) -> Config:
    """Return the configuration of a data set of points with words such as ``loss=hinge``.

    Args:
        data: Its name; None: that of the laboratory.
        words: As in ``ganlab train``.

    Raises:
        GanlabError: As `ganlab.config.compose.read`, or if the data are no points.
    """
    defaults = read_defaults()
    data = data or defaults["points"]
    known = registry.names("data")
    if ":" not in data and not (data in known and _is_of_points(registry.load("data", data))):
        of_points = [name for name in known if _is_of_points(registry.load("data", name))]
        raise GanlabError(f"{data} is no data set of points. Those are {', '.join(of_points)}.")
    config = compose.read([f"data={data}", *words], Inherited({"model": defaults["model"]}, {}))
    if not _is_of_points(config["data"].maker):
        raise GanlabError(f"{data} is no data set of points.")
    return config


def _is_of_points(maker: Any) -> bool:
    return isinstance(maker, type) and issubclass(maker, PointSet)


class Training:
    """A game on points, and its iterations: those that ``ganlab train`` makes of the same words and seed.

    Args:
        config: As `configuration` returns it.

    Attributes:
        config: Complete.
        points: All real points (N, D).
        modes: Their modes, or None.
        progress: That of the training.

    Raises:
        GanlabError: As `ganlab train`.
    """

    def __init__(self, config: Config) -> None:
        config, source = run_networks.completed(config)
        config, _ = automatic.filled(config)
        self.config = config
        size_check.refuse_batches(config)
        assert isinstance(source, PointSet)
        data = run_data.prepared(config, source)
        self.points, self.modes = torch.from_numpy(source.points), source.modes
        self.game, parts = games.of(config, run_networks.of(config))
        images = games.images_per_step(self.game, config.data.batch_size)
        factories, following = games.optimizers(self.game, config.of("optimizer"), images)
        self._scheduled = [s for key, part in parts.items() for s in config[key].follow(part, images)]
        regularizers = [parts[part.key] for part in config.regularizers.values()]
        self.prior = parts["prior"]
        self._hooks = hooks_of(self.game, regularizers)
        generator: Any = self.game.get_submodule("generator")
        self.generator = generator
        self._shares = run_data.label_shares(config, data.images, data.splits)
        setting = Setting(
            self.prior,
            int(generator.latent_dim),
            label_shares=self._shares,
            every_forward=config.state_updates == "every_forward",
        )
        clip = {player: limit for player, limit in config.clip.items() if limit is not None}
        self._optimizers = PlayerOptimizers(self.game, factories, self._hooks, setting, following, clip)
        self._optimizers.take(self._optimizers.make())
        self._turns = Turns(self.game, self._hooks, setting, self._optimizers)
        self.progress = Progress()
        self._batches: Iterator[Any] = iter(
            Loader(
                data.images,
                self.game,
                lambda: self.progress,
                batch_size=config.data.batch_size,
                accumulate=config.accumulate,
                seed=config.seed,
                rows=data.splits["train"],
            )
        )
        self.game.train()

    def iterate(self) -> None:
        """Play one iteration."""
        before, batch = self.progress, next(self._batches)
        iteration = plan(self.game, before, self.config.data.batch_size)
        for scheduled in self._scheduled:
            scheduled.follow(before.images_seen)
        for hook in self._hooks.before_iteration:
            hook(before)
        self._optimizers.follow(before.images_seen, {})
        RULES[self.game.update](
            iteration.slots, Reals(batch, accumulate=self.config.accumulate), self._evaluate, self._optimizers
        )
        self.progress = iteration.advance(before)

    def _evaluate(self, slot: Slot, reals: Reals) -> None:
        if slot.fresh:
            reals.next()
        accumulate = self.config.accumulate
        size = slot.batch // accumulate
        parts = accumulate * (1 if self.game.update == "alternating" else slot.turn.repeat)
        for micro in range(accumulate):
            stream = Stream(self.config.seed, self.progress.images_seen, slot.index, micro)
            points = partial(reals.points, micro, size, stream, torch.float32) if slot.turn.reals else None
            _, objectives = self._turns.objectives(
                slot.turn, stream, self.progress, batch=size, reals=points, carried=reals.carried[micro]
            )
            self._turns.backward(objectives, parts)

    @torch.no_grad()
    def samples(self, count: int, seed: int = 0, network: nn.Module | None = None) -> Tensor:
        """Return generated points (count, D) of latents, and of classes with the data's shares, that depend on the seed
        alone.

        Args:
            network: Makes them; None: the generator.
        """
        z = generation.latents(self.prior, seed, count, int(self.generator.latent_dim))
        labels = () if self._shares is None else (sources.labels_of(self._shares, seed, 0, count),)
        return _passed(self.generator if network is None else network, z, *labels).flatten(1)

    @property
    def has_energy(self) -> bool:
        """Tell if the game's discriminator gives a logit for a point alone, without its class."""
        network = getattr(self.game, "discriminator", None)
        if not isinstance(network, nn.Module) or not hasattr(network, "head") or self.config.data.classes:
            return False
        wanted = signature(network.forward).parameters.values()
        return sum(parameter.default is parameter.empty for parameter in wanted) <= 1

    def energy(self, points: Tensor) -> Tensor:
        """Return U(x) = -D(x), (N,), of points (N, D): low where the discriminator finds points real.

        Raises:
            GanlabError: If the game's discriminator gives no logit for a point alone.
        """
        if self.config.data.classes:
            raise GanlabError("The discriminator sees classes, and has an energy for each: leave data.labels out.")
        if not self.has_energy:
            raise GanlabError(f"{self.config['game'].typed} has no discriminator of points: it has no energy to draw.")
        return -_passed(self.game.get_submodule("discriminator"), points[..., None, None])


def _passed(network: Any, *inputs: Tensor) -> Tensor:
    """Return outputs in evaluation mode, without moving a network's state."""
    was_training = network.training
    network.eval()
    try:
        with state.passing(moves=False):
            return torch.cat([network(*part) for part in zip(*(one.split(_BATCH) for one in inputs), strict=True)])
    finally:
        network.train(was_training)
