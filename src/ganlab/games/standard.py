"""The standard game of a generator and a discriminator."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from ganlab.contracts.game import Game
from ganlab.contracts.turn import MOST_REPEATS, Objectives, Turn
from ganlab.contracts.view import View
from ganlab.core.checks import at_least, positive
from ganlab.core.errors import one_of

FAKE_LABELS = ("drawn", "uniform", "reals")
LOGITS = ("real_logits", "fake_logits")
# Arguments that a loss may name in its signature, in addition to the logits.
SUPPLIES: dict[str, Callable[[View], Tensor]] = {
    "real_images": lambda view: view.reals.images,
    "fake_images": lambda view: view.fakes().images,
    "real_features": lambda view: view.features(view.reals),
    "fake_features": lambda view: view.features(view.fakes()),
}


class Standard(Game):
    """Generator against discriminator, Goodfellow et al. 2014 (arXiv:1406.2661).

    D minimises loss.discriminator(D(x), D(G(z))), ``discriminator_steps`` times an iteration, each
    time on fresh real images and latents; then G minimises loss.generator(D(G(z))) once. Real
    labels come from the data.

    With ``one_pass`` D judges fakes and reals together, the fakes first, as BigGAN-PyTorch does, which is faster where
    a batch does not fill the GPU. It is the same function but for what couples the images of a batch. With
    ``state_updates=every_forward`` the vectors of spectral norm move once instead of twice, and both kinds share σ.
    Batch norm in D normalizes fakes and reals with common statistics, over all ranks, and its averages move once.
    The groups of minibatch deviation have either fakes or reals, as in two passes. Dropout draws other masks. Input
    gradients of the main pass (``r1``, ``r2``) go back through both halves and cost more.

    Args:
        discriminator_steps: Turns of the discriminator in an iteration, 1 to 10,000.
        fresh_reals: Whether a loss that compares with real images in the generator's turn gets new
            ones there, as R3GAN (arXiv:2501.05441) does, or those of the discriminator's last turn.
        generator_batch: Fakes in the generator's turn, as a share of ``data.batch_size``; SNGAN and
            WGAN-GP took 2.
        update: ``alternating``; or ``simultaneous``, ``extragradient`` (arXiv:1802.10551, Adam as
            in its algorithm 4, but with one batch for the look-ahead and the step), ``optimistic``
            (arXiv:1711.00141). In these three, several turns of the discriminator are one step on
            a batch so many times as large.
        one_pass: Whether D judges fakes and reals in one pass over both, see above, or in one pass each.
        fake_labels: ``drawn`` with the data's own class shares; ``uniform``: each class alike, as BigGAN-PyTorch and
            SNGAN do; or ``reals``: in each turn the fakes have the labels of its reals, one by one, and in the
            generator's turn those of the discriminator's last turn, as in GAN_stability (arXiv:1801.04406), while
            a regularizer's own turn without reals draws them.
        same_latents: Whether the generator's turn has the latents and labels of the discriminator's last turn, as in
            Progressive GAN's code in Theano, or draws its own.

    Raises:
        ValueError: If ``discriminator_steps`` is not 1 to 10,000, or ``generator_batch`` not positive, or not 1
            though the loss compares fakes with real images or fakes have the labels of the reals or the same latents;
            ``fake_labels`` is none of these; or ``one_pass`` is set with a loss that does not score both.
    """

    provides: tuple[str, ...] = ("adversarial", "discriminator")
    host_options: tuple[str, ...] = ("generator_batch",)

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: Any,
        discriminator_steps: int = 1,
        fresh_reals: bool = False,
        generator_batch: float = 1.0,
        update: str = "alternating",
        one_pass: bool = False,
        fake_labels: str = "drawn",
        same_latents: bool = False,
    ) -> None:
        super().__init__(update)
        one_of(fake_labels, FAKE_LABELS, "fake_labels")
        at_least("discriminator_steps", discriminator_steps, 1, MOST_REPEATS)
        positive("generator_batch", generator_batch)
        self.generator, self.discriminator = generator, discriminator
        self.loss = loss
        self.discriminator_steps, self.generator_batch = discriminator_steps, generator_batch
        self.add_modules("discriminator", discriminator=discriminator)
        self.add_modules("generator", generator=generator)
        self._objectives = self.objectives(loss)
        self._needs = {player: _needs(function) for player, function in self._objectives.items()}
        if one_pass and not set(LOGITS) <= set(self._needs["discriminator"]):
            raise ValueError("one_pass must be false for a loss that does not score both reals and fakes.")
        self.one_pass, self.fake_labels, self.same_latents = one_pass, fake_labels, same_latents
        compares = any(name.startswith("real") for name in self._needs["generator"])
        pairs = "a loss that compares fakes with reals" if compares else "fake_labels=reals"
        pairs = "same_latents=true" if same_latents else pairs
        if (compares or fake_labels == "reals" or same_latents) and generator_batch != 1:
            raise ValueError(f"generator_batch must be 1 for {pairs}, got {generator_batch}.")
        generator_reals: Literal["fresh", "same"] = "fresh" if fresh_reals else "same"
        self._generator_reals = generator_reals if compares else None
        if fake_labels == "reals":
            self.show_reals("generator")

    def objectives(self, loss: Any) -> dict[str, Callable[..., Tensor]]:
        """Return the objective of each player, a function of its arguments: ``real_logits``, ``fake_images``, ..."""
        return {player: getattr(loss, player) for player in self.players}

    def turns(self) -> Sequence[Turn]:
        return (
            Turn(("discriminator",), repeat=self.discriminator_steps, reals="fresh", counts=True),
            Turn(("generator",), batch=self.generator_batch, reals=self._generator_reals),
        )

    def objective(self, turn: Turn, view: View) -> Objectives:
        objectives: Objectives = {}
        if self.same_latents and turn.has("discriminator"):
            view.carried.clear()  # a turn before it may have left its own
            view.carried["z"] = view.z
            if view.fake_labels is not None:
                view.carried["labels"] = view.fake_labels
        for player in turn.players:
            if player in self._needs:
                arguments = self._arguments(player, view)
                objectives[player] = {"adversarial": self._objectives[player](**arguments)}
                if player == "discriminator":
                    for name in LOGITS:
                        if name in arguments:
                            view.note(f"{player}/{name}", arguments[name].mean())
        return objectives

    def _arguments(self, player: str, view: View) -> dict[str, Tensor]:
        needs = self._needs[player]
        # the reals first: the discriminator's running state moves with its first pass
        logits = zip(LOGITS, view.scores(reals="real_logits" in needs), strict=True)
        arguments = {name: value for name, value in logits if name in needs and value is not None}
        return {**arguments, **{name: SUPPLIES[name](view) for name in needs if name in SUPPLIES}}


def _needs(function: Callable[..., Tensor]) -> tuple[str, ...]:
    """Return the names of the arguments that a loss function requires."""
    parameters = inspect.signature(function).parameters.values()
    names = tuple(p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD)
    known = (*LOGITS, *SUPPLIES)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"the loss asks for {unknown[0]!r}, but the game supplies {', '.join(known)}.")
    return names
