"""The consistency term of CT-GAN."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.core.checks import at_least_zero
from ganlab.core.errors import GanlabError, one_of
from ganlab.core.schedules import present
from ganlab.regularizers.gradient_norm import power_of_norm, squared_norm

FEATURES = ("map", "pooled")
DISTANCES = ("squared", "norm")


class LipschitzConsistency(Regularizer):
    """CT-GAN's consistency: two passes over the same reals differ by their dropout, and are to agree.

    squared: weight * E[max(0, (D'(x) - D''(x))^2 + feature_weight * mean (f'(x) - f''(x))^2 - margin)]
    norm:    weight * E[max(0, |D'(x) - D''(x)| + feature_weight * ||f'(x) - f''(x)|| - margin)]

    f are the features, and their mean is over all elements of one image; the hinge is each image's own. It
    bounds D's slope around the data where interpolates hardly ever lie, and goes with ``gradient_penalty``.
    One of the passes is the main one; the other is made for this term.

    Source: Wei et al. 2018 (arXiv:1803.01541), section 3: weight is its lambda_2, margin its M'. The paper writes a
    distance, which read as the Euclidean one is ``norm`` [not re-checked]. The default, ``squared``, is the
    authors' code (github.com/biuyq/CT-GAN 5ebc7e1), for which these numbers were chosen; it subtracts M' after it
    has multiplied: its M' is weight * margin. Its residual critic compares the mean of relu(f) over positions:
    ``features=pooled``.

    Args:
        weight: At least 0.
        feature_weight: At least 0; 0 leaves the features out.
        margin: What is free of charge, at least 0.
        features: ``map``: the discriminator's last map as it is; ``pooled``: relu and mean over positions first.
        distance: ``squared`` or ``norm``.

    Raises:
        ValueError: If an option is out of range.
    """

    addresses = (Address("discriminator"),)

    def __init__(
        self,
        weight: float = 2.0,
        feature_weight: float = 0.1,
        margin: float = 0.0,
        features: str = "map",
        distance: str = "squared",
    ) -> None:
        super().__init__()
        one_of(features, FEATURES, "features")
        one_of(distance, DISTANCES, "distance")
        self.distance = distance
        self.weight, self.margin = at_least_zero("weight", weight), at_least_zero("margin", margin)
        self.feature_weight, self.compared = at_least_zero("feature_weight", feature_weight), features
        self.needs = ("dropout", "features") if self.feature_weight else ("dropout",)
        self.reads_features = self.feature_weight > 0

    def attach(self, game: Game) -> None:
        super().attach(game)
        discriminator = game.get_submodule("discriminator")
        if self.reads_features and not all(callable(getattr(discriminator, n, None)) for n in ("features", "head")):
            raise GanlabError(
                f"reg=lipschitz_consistency compares features, and {type(discriminator).__name__} has no features with "
                f"a head: set reg.lipschitz_consistency.feature_weight=0 to compare logits alone."
            )

    def terms(self, player: str, view: View) -> Terms:
        reals = view.reals
        again = replace(reals)
        distance = view.logits(reals) - view.logits(again)
        distance = view.game.per_image(distance.square() if self.distance == "squared" else distance.abs())
        if present(self.feature_weight):
            distance = distance + self.feature_weight * self._distance(view.features(reals), view.features(again))
        return {"lipschitz_consistency": self.weight * F.relu(distance - self.margin).mean()}

    def _distance(self, first: Tensor, second: Tensor) -> Tensor:
        """Mean squared difference of each image's features, or its norm, (B,)."""
        if self.compared == "pooled":
            first, second = (F.relu(f).flatten(2).mean(2) if f.ndim > 2 else F.relu(f) for f in (first, second))
        dtype = torch.promote_types(first.dtype, torch.float32)
        difference = (first.to(dtype) - second.to(dtype)).flatten(1)  # (B, numbers of a feature map)
        return difference.square().mean(1) if self.distance == "squared" else power_of_norm(squared_norm(difference), 1)
