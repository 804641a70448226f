"""Energy-based GAN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ganlab.games.standard import Standard


class EBGAN(Standard):
    """Energy-based GAN: the discriminator is an auto-encoder, and its energy is the reconstruction error.

    E(x) = ||decode(encode(x)) - x||^2, D's logit is -E, and with ``loss=energy_margin``

    D: E[E(x)] + E[max(0, m - E(G(z)))]        G: E[E(G(z))]

    It is the standard game with a discriminator that has an energy, and it takes
    ``discriminator=autoencoder loss=energy_margin`` by default. Other losses play too: they
    see logits that are at most 0. ``reg=pulling_away`` keeps the samples of a batch apart.

    Source: Zhao et al. 2017 (arXiv:1609.03126), eqs. 1 and 2 [paper; no code confirmed it].

    Args:
        discriminator_steps: Turns of the discriminator in an iteration, 1 to 10,000.
        fresh_reals: As in ``standard``.
        generator_batch: Fakes in the generator's turn, as a share of ``data.batch_size``.
        update: ``alternating``, ``simultaneous``, ``extragradient`` or ``optimistic``.
        one_pass, fake_labels, same_latents: As in ``standard``.

    Raises:
        ValueError: As ``standard`` does.
    """

    needs = ("energy",)
    companions: ClassVar[Mapping[str, str]] = {"discriminator": "autoencoder", "loss": "energy_margin"}
