"""The variational discriminator bottleneck."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.core.checks import at_least, at_least_zero
from ganlab.core.errors import GanlabError, one_of
from ganlab.layers import state

GENERATOR_SEES = ("mean", "sample")
FORMS = ("general", "published")
CHANNELS = 256


class Bottleneck(nn.Module):
    """Mean and log(std) of a code at each position of a feature map, and perhaps the way back: 1x1 convolutions."""

    def __init__(self, feature_channels: int, channels: int, back: bool = True) -> None:
        super().__init__()
        self.mean = nn.Linear(feature_channels, channels)
        self.log_std = nn.Linear(feature_channels, channels)
        self.back = nn.Linear(channels, feature_channels) if back else None


class VariationalInformationBottleneck(Regularizer):
    """Variational discriminator bottleneck (VGAN): the discriminator sees its features through noise.

    code ~ N(mean(f), std(f)^2) at each position of the last map f, with 1x1 convolutions mean and log(std).
    In the general form D's head gets back(leaky_relu(code)), with a 1x1 convolution back to the channels of f, so
    that it goes with every discriminator that has ``features`` and ``head``. In the published form the head gets
    the code itself, which then has the channels of f; with ``discriminator=gan_stability``, whose head is a linear
    map of leaky_relu, that is the published network. D minimises in addition

    beta * (KL - I_c),  KL = 1/2 E_real[KL(N(mean, std^2) || N(0, 1))] + 1/2 E_fake[the same]

    in nats, summed over channels, averaged over positions and images, and after each of its steps
    beta <- max(0, beta + beta_step * (KL - I_c)). That KL is the mean over ranks and micro-batches.

    Source: Peng et al. 2019 (arXiv:1810.00821), eqs. 7 to 10 and 13; architecture and numbers from its
    code (github.com/akanazawa/vgan), whose discriminator is a linear map of the leaky_relu(code). With ``r1``
    at gamma 20 it is its VGAN-GP. The paper says that the generator sees the mean; the code samples. The
    bottleneck is not changed by ``sn`` or ``ortho``.

    Args:
        channels: Channels of the code, at least 1; K of the paper. null: 256, and in the published form those of f.
        information: I_c, in nats a position, at least 0; 0.1 for CIFAR-10, 0.2 for CelebA with R1.
        initial_beta: beta at the start, at least 0.
        beta_step: Step of the dual ascent, at least 0; 0 holds beta.
        generator_sees: In the turns of others: the ``mean`` of the code, or a ``sample``.
        form: ``general`` or ``published``.

    Raises:
        ValueError: If an option is out of range.
    """

    addresses = (Address("discriminator"),)
    needs = ("features",)
    beta: Tensor

    def __init__(
        self,
        channels: int | None = None,
        information: float = 0.1,
        initial_beta: float = 0.1,
        beta_step: float = 1e-5,
        generator_sees: str = "mean",
        form: str = "general",
    ) -> None:
        super().__init__()
        if channels is not None:
            at_least("channels", channels, 1)
        one_of(generator_sees, GENERATOR_SEES, "generator_sees")
        one_of(form, FORMS, "form")
        self.channels, self.generator_sees, self.form = channels, generator_sees, form
        self.information = at_least_zero("information", information)
        self.beta_step = at_least_zero("beta_step", beta_step)
        self.register_buffer("beta", torch.tensor(at_least_zero("initial_beta", initial_beta)))

    def attach(self, game: Game) -> None:
        super().attach(game)
        self.player = game.owner("discriminator")
        discriminator = game.get_submodule("discriminator")
        missing = [name for name in ("features", "head") if not callable(getattr(discriminator, name, None))]
        if missing:
            raise GanlabError(
                f"reg=vib sits between a discriminator's features(x, y) and head(features, y), "
                f"and {type(discriminator).__name__} has no {' and no '.join(missing)}."
            )
        channels = getattr(discriminator, "feature_channels", None) or _count_channels(game, discriminator)
        width = self.channels or (channels if self.form == "published" else CHANNELS)
        if self.form == "published" and channels != width:
            raise GanlabError(
                f"reg.vib.form=published hands the code to the head of {type(discriminator).__name__}, which takes "
                f"{channels} channels: leave reg.vib.channels out, or set reg.vib.form=general."
            )
        self.bottleneck = Bottleneck(channels, width, back=self.form == "general")
        game.add_modules(self.player, vib=self.bottleneck)

    def features(self, features: Tensor, role: str, view: View) -> Tensor:
        code = mean = pointwise(self.bottleneck.mean, features)
        trains = view.turn.has(self.player)
        if trains or self.generator_sees == "sample":
            log_std = pointwise(self.bottleneck.log_std, features)
            noise = view.draw(f"vib of {role}", mean.shape, "normal")
            code = mean + log_std.exp() * noise.to(mean)
            if trains:
                # the first pass counts: a penalty may make another one
                view.notes.setdefault((self, role), (mean, log_std))
        if self.bottleneck.back is None:
            return code
        return pointwise(self.bottleneck.back, F.leaky_relu(code, 0.2))

    def terms(self, player: str, view: View) -> Terms:
        codes = [view.notes[self, role] for role in ("real", "fake") if (self, role) in view.notes]
        if not codes:
            return {}
        kl = torch.stack([divergence(mean, log_std) for mean, log_std in codes]).mean()
        excess = kl - self.information
        view.update(self.beta, self.beta + self.beta_step * excess)
        view.note(f"{player}/vib_kl", kl)
        view.note(f"{player}/vib_beta", self.beta.clone())
        return {"vib": self.beta * excess}

    @torch.no_grad()
    def after_step(self, player: str) -> None:
        self.beta.clamp_(min=0)


def divergence(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(N(mean, std^2) || N(0, 1)) in nats, summed over channels, averaged over the rest; at least float32."""
    if mean.dtype in (torch.bfloat16, torch.float16):
        mean, log_std = mean.float(), log_std.float()
    return ((mean.square() + (2 * log_std).exp() - 1) / 2 - log_std).sum(1).mean()


def pointwise(layer: nn.Linear, x: Tensor) -> Tensor:
    """``layer`` at every position: (B, C, ...) -> (B, K, ...), without a copy where channels lie last in memory."""
    return layer(x.movedim(1, -1)).movedim(-1, 1)  # (B, K, ...)


def _count_channels(game: Game, discriminator: nn.Module) -> int:
    """Channels of the discriminator's features, from a pass over one black image that changes nothing."""
    shapes = [getattr(network, "image_shape", None) for network in (discriminator, getattr(game, "generator", None))]
    shape = next((s for s in shapes if s is not None), None)
    if shape is None:
        raise GanlabError(
            f"reg=vib must know how many channels the features of {type(discriminator).__name__} have: "
            f"give it an attribute feature_channels."
        )
    like = next(discriminator.parameters())
    modes = [(module, module.training) for module in discriminator.modules()]
    labels = like.new_zeros(1, dtype=torch.long) if getattr(discriminator, "num_classes", 0) else None
    discriminator.eval()
    try:
        with torch.no_grad(), state.passing(moves=False):
            return discriminator.features(like.new_zeros(1, *shape), labels).shape[1]  # type: ignore[operator]
    finally:
        for module, mode in modes:
            module.training = mode
