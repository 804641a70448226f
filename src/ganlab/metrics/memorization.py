"""Memorization: signs that a generator copies its training images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganlab.contracts.figures import Grid
from ganlab.contracts.metric import Context, Kept, Metric, Role, Score, Summary, Tensors, Value
from ganlab.core.checks import at_least
from ganlab.core.errors import GanlabError
from ganlab.metrics import intervals, neighbours
from ganlab.metrics.stored import StoredFeatures, StoredImages


class Memorization(Metric):
    """Generated images beside their nearest training images, and how near those are. With T the training set,
    d the distance of features, and NN(x) the nearest training image of x:

    authenticity       share of samples x with d(x, NN(x)) > d(NN(x), its nearest other training image): 1/2 for
                       new images of the same distribution, 0 for copies
    nearer_than_train  probability that a sample is nearer to T than a training image is to the others of T
                       (Mann & Whitney's U over their number of pairs): 1/2 for new images of the same
                       distribution, 1 for copies, low for samples far from the data
    copies             share of samples at less than half the distance that training images have from each
                       other at the 1st percentile
    d_train, d_held_out, d_fake: shares of training, held-out and generated images that the discriminator of the
                       run takes for what they are; ``d_gap`` is the first less the second: above 0 it knows
                       its training images by heart. What is real to it begins half-way between the median
                       logits of training and of generated images: 0 means nothing to a critic, nor to least squares

    Intervals are for other samples of the generator, and other images for the discriminator, the training set held
    fixed. Held-out images get the same numbers, to compare with. ``authenticity`` and ``copies`` say
    nothing of quality: of images far from all data the one may be anything up to 1 and the other is 0.

    Source: authenticity: Alaa et al. 2022 (arXiv:2102.08921), section 3.2; U: Meehan et al. 2020
    (arXiv:2004.05675), equation 1, over the whole space; copies is ours.

    Args:
        samples: Generated (and held-out) images that are looked at, a random choice of more.
        training_images: Training images that are searched, a random choice of more; memory is 4 D bytes each.
        shown: Samples on the picture: those nearest to the training set.
        neighbours: Training images beside each of them.

    Raises:
        ValueError: If a number is not positive.
    """

    roles: ClassVar[tuple[Role, ...]] = ("fake", "train", "held_out")
    meanings: ClassVar[Mapping[str, str]] = {
        "authenticity": "Share of images whose nearest training image has another one nearer still; low: copies.",
        "nearer_than_train": "How often an image is nearer to a training image than these to each other; high: copies.",
        "copies": "Share of generated images that nearly equal a training image.",
        "d_train": "Share of the training images that the discriminator takes for real.",
        "d_held_out": "Share of unseen real images that the discriminator takes for real.",
        "d_fake": "Share of generated images that the discriminator takes for generated.",
        "d_gap": "How much better the discriminator knows training images than unseen ones; above 0 it overfits.",
    }

    def __init__(
        self, samples: int = 2000, training_images: int = 50_000, shown: int = 16, neighbours: int = 5
    ) -> None:
        numbers = {"samples": samples, "training_images": training_images, "shown": shown, "neighbours": neighbours}
        for name, number in numbers.items():
            at_least(name, number, 1)
        self.samples, self.training_images, self.shown, self.neighbours = samples, training_images, shown, neighbours

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        if role == "train":
            return {"features": StoredFeatures(self.training_images)}
        if role == "held_out":
            return {"features": StoredFeatures(self.samples)}
        return {"features": StoredFeatures(self.samples), "images": StoredImages(self.samples)}

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        fake, train = kept["fake"]["features"], kept["train"]["features"]
        if len(train["places"]) < 3:
            raise GanlabError("memorization needs at least three training images.")
        spacing = neighbours.radii(train["features"], 1)
        found = {"fake": self._distances(fake, train, spacing)}
        if "held_out" in kept and kept["held_out"].stream.count:
            found["held_out"] = self._distances(kept["held_out"]["features"], train, spacing)
        values = {}
        better = {"authenticity": "real", "nearer_than_train": "real", "copies": "lower"}
        for name, kind in better.items():
            share, count = found["fake"][name], len(fake["places"])
            if name == "nearer_than_train":
                low, high = intervals.mean_of_shares(share, found["fake"]["variance"], count)
            else:
                low, high = intervals.wilson(share, count)
            real = found["held_out"][name] if "held_out" in found else None
            values[name] = Value(share, low, high, kind, real)  # type: ignore[arg-type]
        values.update(self._discriminator(kept, context))
        score = Score(values)
        if context.images is not None:
            tiles, score.details["neighbours"] = self._picture(kept, context, found["fake"])
            columns = len(tiles) // len(score.details["neighbours"])
            note = "the sample on the left, the nearest samples first"
            score.figures.append(Grid("Samples and their nearest training images", tiles, columns, note))
        return score

    def _distances(self, rows: Tensors, train: Tensors, spacing: Tensor) -> dict[str, Any]:
        squared, places = neighbours.nearest(rows["features"], train["features"], self.neighbours)
        nearest = squared[:, 0]
        nearer = _shares_above(nearest, spacing)
        return {
            "authenticity": float((nearest > spacing[places[:, 0]]).double().mean()),
            "nearer_than_train": float(nearer.mean()),
            "variance": float(nearer.var()) if len(nearer) > 1 else 0.0,
            # half the distance is a quarter of its square
            "copies": float((nearest < spacing.quantile(0.01) / 4).double().mean()) if float(spacing.max()) else 0.0,
            "squared": squared,
            "places": places,
        }

    def _discriminator(self, kept: Mapping[Role, Kept], context: Context) -> dict[str, Value]:
        if context.discriminator is None or context.images is None:
            return {}
        found: dict[str, Tensor] = {}
        for role in ("train", "held_out", "fake"):
            if role not in kept or not kept[role].stream.count:
                continue
            rows = kept[role]["features"]
            places, labels = rows["places"][: self.samples], rows["labels"][: self.samples]
            images = kept["fake"]["images"]["images"] if role == "fake" else context.images(role, places)
            known = labels if bool((labels >= 0).all()) else None
            found[role] = context.discriminator(images, known, role != "fake")
        boundary = (found["train"].median() + found["fake"].median()) / 2
        shares, counts = {}, {role: len(logits) for role, logits in found.items()}
        for role, logits in found.items():
            above = (logits > boundary).double() + (logits == boundary).double() / 2
            shares[role] = float((1 - above if role == "fake" else above).mean())
        values, ends = {}, {}
        for role, share in shares.items():
            ends[role] = (share, *intervals.wilson(share, counts[role]))
            values[f"d_{role}"] = Value(*ends[role], about="share that the discriminator gets right")
        if {"train", "held_out"} <= shares.keys():
            low, high = intervals.difference(ends["train"], ends["held_out"])
            gap = shares["train"] - shares["held_out"]
            values["d_gap"] = Value(gap, low, high, "lower", about="d_train - d_held_out")
        return values

    def _picture(
        self, kept: Mapping[Role, Kept], context: Context, found: Mapping[str, Any]
    ) -> tuple[Tensor, list[dict[str, Any]]]:
        """Rows of a sample and its nearest training images, the nearest sample first, and their distances."""
        assert context.images is not None
        train = kept["train"]["features"]
        order = found["squared"][:, 0].argsort()[: self.shown].cpu()
        tiles, described = [], []
        for sample in order.tolist():
            places = train["places"][found["places"][sample].cpu()]
            tiles += [kept["fake"]["images"]["images"][sample].cpu()[None], context.images("train", places).cpu()]
            described.append({"distances": found["squared"][sample].sqrt().tolist(), "training": places.tolist()})
        return torch.cat(tiles), described


def _shares_above(x: Tensor, y: Tensor) -> Tensor:
    """Return for each x_i the share of all y_j that are larger, and half of those that are equal."""
    x, y = x.contiguous(), y.sort().values
    below = torch.searchsorted(y, x, right=False)
    upto = torch.searchsorted(y, x, right=True)
    return 1 - (below + upto).double() / (2 * len(y))
