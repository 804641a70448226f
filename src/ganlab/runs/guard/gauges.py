"""The quantities that the guard judges a run by, left on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ganlab.contracts.instrument import Step, Subject
from ganlab.core import distributed
from ganlab.runs.guard.bounds import doubled
from ganlab.runs.guard.reading import Reading, pairs, small

PREFIX = "guard/"
WINDOW = 32  # mean images that are remembered
_NEAREST = 4  # measurements between two of them that are compared
_READ = 2048  # real images from which labels are read
_FEWEST = 20  # images of a class, on the average, from which labels can be read


class Gauges:
    """Measures a run in one iteration: its weights, gradients and steps, and the images of fixed latents.

    PLAYER/weights        norm of what a player trains, after its last step of the iteration
    PLAYER/gradient       norm of its gradient in that step, not clipped
    PLAYER/step           norm of the change of its weights
    PLAYER/descent        how far that change goes down along the gradient, from 1 (each weight does, as with any
                          optimizer without momentum) over 0 (as much up as down) to -1
    PLAYER/turn           how far it turns from the player's step before: 1 less the cosine between them
    PLAYER/moments        largest magnitude of its optimizer's moments
    discriminator/doubled how many times as far apart its logits are with twice the weights, where its loss is linear in
                          them and nothing bounds them, see `ganlab.runs.guard.bounds`
    images/diversity      mean distance of two images from fixed latents, over that of real images
    images/class_diversity  the same within a class, in conditional runs
    images/swing          largest distance of the mean image to an earlier one, over the distance of real images
    images/recurrence     least distance of the mean image to an earlier one, over the largest to one in between, where
                          that is at least half of the swing; else 1
    labels/alive          share of the classes that have real images
    labels/classes        different labels of the iteration's real images, over the number expected
    labels/evidence       that labels belong to the real images, in standard deviations, see `Reading`
    labels/fakes          share of the images from fixed latents of whose pixels the asked class is read

    Images are compared as at most 8 x 8 pixels. All ranks have the same numbers. Quantities that a run cannot have (no
    generator, no data, no labels) are left out.

    Args:
        subject: The run.
        samples: Images from fixed latents.
        stage: Returns what images depend on beside the weights: the stage of growth.

    Attributes:
        is_free: Whether nothing bounds the discriminator.
    """

    def __init__(self, subject: Subject, samples: int, stage: Callable[[], Any]) -> None:
        self.subject, self.samples, self._stage = subject, samples, stage
        self._found: dict[str, Tensor] = {}
        self._reals: tuple[Any, Tensor, Reading | None] | None = None
        self.moved: dict[str, list[Tensor]] = {}  # player -> the changes of its weights in its last step
        self.means: list[Tensor] = []
        self.is_free = False

    @contextmanager
    def keep(self, step: Step) -> Iterator[None]:
        """Surround a step of the iteration before the one that is measured."""
        before = [parameter.detach().clone() for parameter in step.parameters]
        yield
        self.moved[step.player] = list(torch._foreach_sub([p.detach() for p in step.parameters], before))

    @contextmanager
    def observe(self, step: Step) -> Iterator[None]:
        """Surround a step of the iteration that is measured; of several steps of a player the last one counts."""
        before = [parameter.detach().clone() for parameter in step.parameters]
        gradients = {at: p.grad for at, p in enumerate(step.parameters) if p.grad is not None}
        self._found[f"{step.player}/gradient"] = _norm(gradients.values(), before)
        yield
        after = [parameter.detach() for parameter in step.parameters]
        moved = list(torch._foreach_sub(after, before))
        self._found[f"{step.player}/step"] = _norm(moved, before)
        self._found[f"{step.player}/descent"] = _descent(list(gradients.values()), [moved[at] for at in gradients])
        if (last := self.moved.get(step.player)) is not None and list(map(_shape, last)) == list(map(_shape, moved)):
            self._found[f"{step.player}/turn"] = _turn(moved, last)
        self.moved[step.player] = moved
        self._found[f"{step.player}/weights"] = _norm(after, before)

    @torch.no_grad()
    def see(self, batch: Mapping[str, Any]) -> None:
        """Take the labels of the iteration's first real images, as the loader delivers them."""
        shares = self.subject.setting.label_shares
        if shares is None or not batch["labels"] or batch["labels"][0] is None:
            return
        shares = shares.to(self.subject.device)
        seen = distributed.gather(batch["labels"][0].to(shares.device))
        different = (seen[:, None] == torch.arange(len(shares), device=shares.device)).any(0).float().sum()
        self._found["labels/classes"] = different / (1 - (1 - shares) ** len(seen)).sum()
        self._found["labels/alive"] = (shares > 0).float().mean()

    @torch.no_grad()
    def measure(self, moments: Mapping[str, list[Tensor]]) -> dict[str, Tensor]:
        """Return the numbers of this iteration by name.

        Args:
            moments: The tensors of each player's optimizer.
        """
        found, self._found = self._found, {}
        for player, tensors in moments.items():
            if tensors:
                found[f"{player}/moments"] = torch.stack(torch._foreach_norm(tensors, float("inf"))).max().float()
        if self._can_make_images():
            found.update(self._of_images())
        if self.is_free and "train" in self.subject.counts:
            found["discriminator/doubled"] = doubled(self.subject, *self.subject.reals("train", self.samples))
        return {f"{PREFIX}{name}": value for name, value in found.items()}

    def _can_make_images(self) -> bool:
        try:
            _ = self.subject.generator
        except ValueError:
            return False
        return self._real_images() is not None

    def _of_images(self) -> dict[str, Tensor]:
        images, labels = self.subject.fakes(self.samples, averaged=False)
        reals = self._real_images()
        assert reals is not None
        x = small(images)
        scale = pairs(reals, None).clamp(min=1e-6)
        found = {"images/diversity": pairs(x, None) / scale}
        if labels is not None:
            found["images/class_diversity"] = pairs(x, labels) / scale
        mean = x.mean(0)
        if len(self.means) >= _NEAREST:
            distances = torch.stack([(mean - other.to(mean)).norm() for other in reversed(self.means)])
            between = distances.cummax(0).values
            returned = distances[_NEAREST - 1 :] / between[_NEAREST - 1 :].clamp(min=1e-12)
            returned = returned.where(between[_NEAREST - 1 :] > between[-1] / 2, 1.0)  # else it has stood still
            found["images/swing"], found["images/recurrence"] = between[-1] / scale, returned.min()
        self.means = [*self.means[-WINDOW + 1 :], mean]
        if (reading := self._read()) is not None:
            found["labels/evidence"] = reading.evidence
            if labels is not None:
                found["labels/fakes"] = reading.share(x, labels)
        return found

    def _real_images(self) -> Tensor | None:
        """Return small real images (N, D) at this stage, or None."""
        self._prepare()
        return None if self._reals is None else self._reals[1]

    def _read(self) -> Reading | None:
        self._prepare()
        return None if self._reals is None else self._reals[2]

    def _prepare(self) -> None:
        stage = self._stage()
        if self._reals is not None and self._reals[0] == stage:
            return
        try:
            images, labels = self.subject.reals("train", _READ)
        except ValueError:
            return
        if self._reals is not None:  # else they are those of a checkpoint
            self.means = []
        x, reading = small(images), None
        classes = int(self.subject.setting.label_shares.numel()) if self.subject.setting.label_shares is not None else 0
        if labels is not None and classes > 1 and len(x) >= 2 * _FEWEST * classes:
            reading = Reading(x, labels, classes)
        self._reals = stage, x[: self.samples], reading


def _descent(gradients: list[Tensor], moved: list[Tensor]) -> Tensor:
    """Return -Σ g·Δw / Σ |g·Δw|; where that is 0 / 0, 0 for a step without a gradient and 1 for no step."""
    if not gradients:
        return torch.ones(())
    products = torch._foreach_mul(gradients, moved)
    down = -torch.stack([product.sum() for product in products]).sum()
    whole = torch.stack(torch._foreach_norm(products, 1)).sum()
    stands = torch.stack(torch._foreach_norm(moved)).sum() == 0
    return torch.where((whole > 0) & whole.isfinite(), down / whole, stands.to(whole)).float()


def _turn(moved: list[Tensor], last: list[Tensor]) -> Tensor:
    """Return 1 - cos of two steps; 1 where one of them is none."""
    products = torch._foreach_mul(moved, [change.to(moved[0].device) for change in last])
    lengths = _norm(moved, moved) * _norm(last, moved).to(moved[0].device)
    product = torch.stack([each.sum() for each in products]).sum()
    return torch.where((lengths > 0) & lengths.isfinite(), 1 - product / lengths, 1.0).float()


def _shape(tensor: Tensor) -> torch.Size:
    return tensor.shape


def _norm(tensors: Any, like: list[Tensor]) -> Tensor:
    tensors = list(tensors)
    if not tensors:
        return like[0].new_zeros((), dtype=torch.float32)
    return torch.stack(torch._foreach_norm(tensors)).float().norm()
