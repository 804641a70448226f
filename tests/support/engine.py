"""A GameModule played by hand, without a Trainer, and the smallest networks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganlab.contracts.game import Game
from ganlab.contracts.plan import plan
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.setting import Setting
from ganlab.contracts.turn import Objectives, Turn
from ganlab.contracts.view import View
from ganlab.core.randomness import Stream
from ganlab.data.prepare import Images
from ganlab.engine.averaging import Average
from ganlab.engine.loader import Loader
from ganlab.engine.module import GameModule, Training
from ganlab.layers.norm import BatchNorm, ConditionalBatchNorm
from ganlab.priors import Normal

BATCH, DIM, LATENTS = 8, 2, 3
IMAGE = (1, 8, 8)


class Engine:
    """A game that is played by hand: SGD of rate 1 by default, so that steps are gradients.

    Args:
        game: Regularizers are attached to it here.
        regularizers: By name.
        rate: Learning rate of all players, or of each by its name.
        setting: What views share; by default normal latents, no labels.
        optimizer: Makes a player's optimizer.
        training: Options of `Training`.

    Attributes:
        turns_played: In order, one for each evaluation.
        gradients: (player, gradient over the whole concatenated vector) of each step, as the optimizer saw it.
    """

    def __init__(
        self,
        game: Game,
        regularizers: Mapping[str, Regularizer] | None = None,
        *,
        rate: float | Mapping[str, float] = 1.0,
        setting: Setting | None = None,
        average: Average | None = None,
        optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.SGD,
        **training: object,
    ) -> None:
        for regularizer in (regularizers or {}).values():
            regularizer.attach(game)
        self.game = game
        rates = rate if isinstance(rate, Mapping) else dict.fromkeys(game.players, rate)
        factories = {p: lambda params, lr=rates[p]: optimizer(list(params), lr=lr) for p in game.players}
        options = Training(**{"batch_size": BATCH, **training})  # type: ignore[arg-type]
        setting = Setting(Normal(), LATENTS) if setting is None else setting
        self.module = GameModule(game, regularizers or {}, factories, setting, average or Average({}), options)
        self.module.begin()
        self.turns_played: list[Turn] = []
        evaluate = self.module.evaluate
        self.module.evaluate = lambda slot, reals: (self.turns_played.append(slot.turn), evaluate(slot, reals))[1]  # type: ignore[method-assign,func-returns-value]
        self.gradients: list[tuple[str, Tensor]] = []
        for player, stepped in self.module.player_optimizers.by_player.items():
            stepped.register_step_pre_hook(self._recorder(player))

    def iterate(self, *reals: Tensor) -> None:
        """One iteration on these real images of its fresh turns; by default on points of the plane."""
        needed = sum(slot.fresh for slot in plan(self.game, self.module.progress, BATCH).slots)
        images = list(reals) or [points(i) for i in range(needed)]
        self.module.iterate({"images": images, "labels": [None] * len(images)})

    def play(self, images: Images, iterations: int = 1) -> None:
        """Iterations on what a real `Loader` serves to this rank."""
        options = self.module.training_options
        loader = Loader(
            images,
            self.game,
            lambda: self.module.progress,
            batch_size=options.batch_size,
            accumulate=options.accumulate,
            seed=options.seed,
        )
        for _, batch in zip(range(iterations), loader, strict=False):
            self.module.iterate(batch)

    def watch(self, look: Callable[[Turn, View], object]) -> None:
        """Call ``look`` on every micro-batch, after the game's own objective was made."""
        objective, owns = self.game.objective, self.game.owns

        def watched(turn: Turn, view: View) -> Objectives:
            made = objective(turn, view) if owns(turn) else {}
            look(turn, view)
            return made

        self.game.objective = watched  # type: ignore[method-assign]
        self.game.owns = lambda turn: True  # type: ignore[method-assign]

    def reals(self, player: str) -> list[Tensor]:
        """A list that fills with the real images of each of the player's micro-batches."""
        seen: list[Tensor] = []
        self.watch(lambda turn, view: seen.append(view.reals.images.detach().clone()) if turn.has(player) else None)
        return seen

    def z(self, index: int, images_seen: int = 0, micro: int = 0) -> Tensor:
        """The latents that the turn at ``index`` draws."""
        options = self.module.training_options
        count = options.batch_size // options.accumulate
        return Normal()(Stream(options.seed, images_seen, index, micro).draw, count, LATENTS)

    def weights(self) -> Tensor:
        return flat(self.game.parameters())

    def state(self) -> dict[str, Tensor]:
        """Buffers of networks and regularizers."""
        modules = {"game": self.game, "regularizers": self.module.regularizers}
        return {f"{n}.{k}": b.detach().clone() for n, module in modules.items() for k, b in module.named_buffers()}

    def _recorder(self, player: str) -> Callable[..., None]:
        def record(optimizer: torch.optim.Optimizer, args: object, kwargs: object) -> None:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            self.gradients.append((player, flat(torch.zeros_like(p) if p.grad is None else p.grad for p in parameters)))

        return record


class G(nn.Module):
    """A linear generator of points."""

    latent_dim, num_classes = LATENTS, 0

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(LATENTS, DIM)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.net(z)


class D(nn.Module):
    """A discriminator of points with one hidden layer."""

    num_classes, feature_channels = 0, 4

    def __init__(self) -> None:
        super().__init__()
        self.body, self.out = nn.Linear(DIM, 4), nn.Linear(4, 1)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.tanh(self.body(x))

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return self.out(features).squeeze(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


class E(nn.Module):
    """Mean and log-variance of the codes of points."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(2, 2 * LATENTS)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.net(x).chunk(2, 1)
        return mean, log_variance


class NormalizedGenerator(nn.Module):
    """Images by a linear map, batch norm (conditional where there are classes) and a convolution."""

    def __init__(self, num_classes: int = 0, batch_norm: bool = True, width: int = 4) -> None:
        super().__init__()
        self.latent_dim, self.num_classes, self.image_shape, self.width = LATENTS, num_classes, IMAGE, width
        self.linear = nn.Linear(LATENTS, width * 16)
        norm = ConditionalBatchNorm(width, num_classes=num_classes) if num_classes else BatchNorm(width)
        self.norm = norm if batch_norm else None
        self.conv = nn.ConvTranspose2d(width, IMAGE[0], 4, stride=2, padding=1)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.linear(z).unflatten(1, (self.width, 4, 4))
        if self.norm is not None:
            h = self.norm(h, y) if self.num_classes else self.norm(h)
        return torch.tanh(self.conv(F.softplus(h)))


class NormalizedDiscriminator(nn.Module):
    """A convolution, batch norm and softplus, so that penalties have second derivatives; projection of labels."""

    def __init__(self, num_classes: int = 0, batch_norm: bool = True, width: int = 4) -> None:
        super().__init__()
        self.num_classes, self.image_shape, self.feature_channels = num_classes, IMAGE, width
        self.conv = nn.Conv2d(IMAGE[0], width, 4, stride=2, padding=1)
        self.norm = BatchNorm(width) if batch_norm else nn.Identity()
        self.out = nn.Linear(width * 16, 1)
        self.embedding = nn.Embedding(num_classes, width) if num_classes else None

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return F.softplus(self.norm(self.conv(x)))

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        logits = self.out(features.flatten(1)).squeeze(1)
        return logits if self.embedding is None else logits + (self.embedding(y) * features.mean((2, 3))).sum(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


def points(seed: int, batch: int = BATCH) -> Tensor:
    return torch.randn(batch, DIM, generator=torch.Generator().manual_seed(seed))


def images(count: int = 40, num_classes: int = 0, shape: Sequence[int] = IMAGE) -> Images:
    """Random pixels: a data set whose size no batch divides."""
    random = torch.Generator().manual_seed(5)
    pixels = torch.randint(256, (count, *shape), generator=random, dtype=torch.uint8)
    labels = torch.randint(num_classes, (count,), generator=random) if num_classes else None
    return Images(pixels, labels, num_classes, tuple(map(str, range(num_classes))), ())


def pair() -> tuple[G, D]:
    torch.manual_seed(0)
    return G(), D()


def flat(tensors: Iterator[Tensor] | Sequence[Tensor]) -> Tensor:
    """One vector of everything."""
    return torch.cat([t.detach().reshape(-1) for t in tensors])


def distance(found: Tensor, expected: Tensor) -> float:
    """Relative distance of two vectors, in double precision."""
    found, expected = found.double(), expected.double()
    norm = float(expected.norm())
    return float((found - expected).norm()) / norm if norm > 0 else float(found.norm())


def shares(num_classes: int) -> Tensor | None:
    return torch.full((num_classes,), 1 / num_classes) if num_classes else None
