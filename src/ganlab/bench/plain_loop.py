"""The standard game as a hand-written PyTorch loop, which ganlab's own iterations are measured against."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganlab.core import randomness
from ganlab.core.errors import GanlabError
from ganlab.engine.loader import Loader
from ganlab.engine.module import GameModule
from ganlab.games.standard import Standard
from ganlab.layers import state


class PlainLoop:
    """The same arithmetic as a hand-written PyTorch loop for the standard game: the same networks,
    loss, optimizers, memory format and average, and nothing else.

    The clock includes gathering rows of the data and drawing latents and labels.

    Raises:
        GanlabError: If the configuration does more than such a loop.
    """

    def __init__(self, module: GameModule, loader: Loader) -> None:
        game, options = module.game, module.training_options
        if type(game) is not Standard or game.update != "alternating" or options.accumulate != 1 or options.clip:
            raise GanlabError("compare=plain is for game=standard with alternating updates, accumulate=1 and no clip.")
        if game.one_pass or game.fake_labels != "drawn":
            raise GanlabError(
                "compare=plain draws labels and makes two passes: leave out game.one_pass and fake_labels."
            )
        if game.growth is not None:
            raise GanlabError("compare=plain is for networks of one size: leave out growth.")
        hooked = any(found for name, found in vars(module.turns.hooks).items() if name != "during")
        if hooked or module.setting.every_forward or options.compile or options.mirror or options.dequantize:
            raise GanlabError(
                "compare=plain compares the bare game: leave out regularizers with terms (reg=none or reg=sn), "
                "state_updates, compile, data.mirror and data.dequantize."
            )
        self.module, self.loader, self.loss, self.steps = module, loader, game.loss, game.discriminator_steps
        self.generator, self.discriminator = copy.deepcopy(game.generator), copy.deepcopy(game.discriminator)
        self.average = copy.deepcopy(module.average["generator"]) if "generator" in module.average else None
        self.optimizers = {
            name: module.player_optimizers.factories[name](iter(list(network.parameters())))
            for name, network in (("generator", self.generator), ("discriminator", self.discriminator))
        }
        self.parametrized = any(parametrize.is_parametrized(m) for m in self.discriminator.modules())
        self.images_seen = 0
        self.difference = float("nan")

    def prepare(self, batch: Any) -> None:
        """Take the real images of an iteration and choose rows of the data; not timed."""
        pixels, size = self.loader.images.pixels, self.module.training_options.batch_size
        self.rows = [torch.randint(len(pixels), (size,)) for _ in range(self.steps)]
        self.reals = list(zip(batch["images"], batch["labels"], strict=True))

    def _draw(self, turn: int) -> tuple[Tensor, Tensor | None]:
        """Draw the same latents and labels as ganlab."""
        options, setting = self.module.training_options, self.module.setting
        stream = randomness.Stream(options.seed, self.images_seen, turn, 0, device=self.module.device)
        z = setting.prior(stream.draw, options.batch_size, setting.latent_dim)
        if setting.label_shares is None:
            return z, None
        uniform = stream.draw("labels", (options.batch_size,), "uniform")
        labels = torch.searchsorted(setting.label_shares.cumsum(0), uniform, right=True)
        return z, labels.clamp_(max=len(setting.label_shares) - 1)

    def iterate(self) -> None:
        """One iteration, as one would write it by hand."""
        size = self.module.training_options.batch_size
        memory_format = torch.channels_last if self.module.training_options.channels_last else torch.contiguous_format
        pixels = self.loader.images.pixels
        for step, (images, real_labels) in enumerate(self.reals):
            gathered = pixels[self.rows[step]]  # the cost of a batch; its content is the rival's
            del gathered
            x = images.to(dtype=torch.float32, memory_format=memory_format).mul_(1 / 127.5).sub_(1)
            z, y = self._draw(step)
            with state.passing(moves=False), self._shared_weights():
                with torch.no_grad():
                    fake = self.generator(z, y)
                with state.passing(moves=True):
                    real_logits = self.discriminator(x, real_labels)
                fake_logits = self.discriminator(fake, y)
                loss = self.loss.discriminator(real_logits=real_logits, fake_logits=fake_logits)
            self._step("discriminator", loss)
        self.discriminator.requires_grad_(False)
        z, y = self._draw(self.steps)
        with state.passing(moves=False), self._shared_weights():
            with state.passing(moves=True):
                fake = self.generator(z, y)
            loss = self.loss.generator(fake_logits=self.discriminator(fake, y))
        self._step("generator", loss)
        self.discriminator.requires_grad_(True)
        counted = size * self.steps
        if self.average is not None:
            decay = self.module.average.decay(self.images_seen, counted)
            with torch.no_grad():
                torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 1 - decay)
        self.images_seen += counted

    def compare(self, module: L.LightningModule) -> float:
        """Largest relative distance of a network's weights from ganlab's, over the whole vector."""
        assert isinstance(module, GameModule)
        distances = []
        for mine, theirs in ((self.generator, module.game.generator), (self.discriminator, module.game.discriminator)):
            a = nn.utils.parameters_to_vector([p.detach().contiguous() for p in mine.parameters()])  # type: ignore[union-attr]
            b = nn.utils.parameters_to_vector([p.detach().contiguous() for p in theirs.parameters()])  # type: ignore[union-attr]
            distances.append(float((a - b).norm() / b.norm()))
        return max(distances)

    def _shared_weights(self) -> Any:
        return parametrize.cached() if self.parametrized else nullcontext()

    def _step(self, name: str, loss: Tensor) -> None:
        loss.backward()
        self.optimizers[name].step()
        self.optimizers[name].zero_grad(set_to_none=True)
