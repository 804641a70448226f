"""Differences between the images of the sample grid."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.contracts.extractor import Extractor
from ganlab.contracts.instrument import Instrument, Subject
from ganlab.core.checks import at_least
from ganlab.sampling import generation

_LOWEST, _HIGHEST, _STEP = -18, 15, 1.5  # of the logarithms of t in `entropy`


class Diversity(Instrument):
    """Differences between images of the averaged generator from fixed latents, in the space of a feature extractor.

    distance         mean distance of two images' features
    effective_rank   exp of the entropy of the covariance's eigenvalues, over their sum: the dimensions in which
                     features differ; 1 where all images are equal
    vendi            exp of the entropy of the eigenvalues of K / n, K the cosine similarities: the number of different
                     images, 1 where all are equal, n where no two have anything in common
    class_distance   mean distance of two images that the data's classifier puts in one class
    classes_alive    share of the classes that the classifier sees at least one image of

    The latter two where the extractor is a classifier of the data's own classes, and the last one where there are as
    many images as classes. Classes of conditional images are in turn, as in the grids.

    Source: Roy & Vetterli 2007, "The effective rank", of the covariance; Friedman & Dieng 2023 (arXiv:2210.02410),
    equation 2, with the cosine similarity.

    Args:
        samples: Images, at least 2.
        features: A feature extractor; null: the one by which the run is scored.

    Raises:
        ValueError: If ``samples`` is out of range.
    """

    cost = "watch.diversity.samples images of the averaged generator, and their features"

    def __init__(self, samples: int = 100, features: str | None = None) -> None:
        self.samples, self.features = at_least("samples", samples, 2), features

    def prepare(self, subject: Subject) -> None:
        _ = subject.generator
        if subject.extractor is None:
            raise ValueError("it needs a feature extractor, and the run has no images")
        self._of(subject)

    @torch.no_grad()
    def measure(self, subject: Subject) -> dict[str, Tensor]:
        extractor = self._of(subject)
        images, _ = subject.fakes(self.samples, averaged=True)
        parts = [extractor.extract(part) for part in generation.to_uint8(images).split(extractor.cpu_images)]
        features = torch.cat([found for found, _ in parts])
        found = differences(features)
        if extractor.own_classes:
            classes = torch.cat([logits for _, logits in parts if logits is not None]).argmax(1)
            found.update(in_classes(features, classes, extractor.logits_dim))
        return found

    def _of(self, subject: Subject) -> Extractor:
        assert subject.extractor is not None
        return subject.extractor(self.features)


def differences(features: Tensor) -> dict[str, Tensor]:
    """Return ``distance``, ``effective_rank`` and ``vendi`` of features (N, D)."""
    x = (features.cpu() if features.device.type == "mps" else features).double()  # MPS has no float64: it waits
    count = len(x)
    tiny = torch.finfo(x.dtype).tiny
    unit = x / x.norm(dim=1, keepdim=True).clamp(min=tiny)
    centred = x - x.mean(0)
    gram = centred @ centred.mT
    gram = gram / gram.trace().clamp(min=tiny)
    effective_rank, vendi = entropy(torch.stack([gram, unit @ unit.mT / count])).exp().float().unbind()
    distance = _distances(features).sum() / (count * (count - 1))
    return {"distance": distance, "effective_rank": effective_rank, "vendi": vendi}


def in_classes(features: Tensor, classes: Tensor, number: int) -> dict[str, Tensor]:
    """Return ``class_distance``, and ``classes_alive`` where there are enough images, of classes (N,) below ``number``.

    ``class_distance`` is 0 where no two images are in one class.
    """
    same = classes[:, None] == classes
    same.fill_diagonal_(False)
    found = {"class_distance": (_distances(features) * same).sum() / same.sum().clamp(min=1)}
    if len(classes) >= number:
        found["classes_alive"] = (classes[:, None] == torch.arange(number, device=classes.device)).any(0).float().mean()
    return found


def _distances(features: Tensor) -> Tensor:
    return torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")  # 0 for equal ones


def entropy(matrices: Tensor) -> Tensor:
    """Return -tr(P log P) of positive matrices P (..., n, n) whose eigenvalues are at most 1.

    x log x = integral over t > 0 of x (1/(1 + t) - 1/(x + t)), by the trapezoidal rule in log t, whose error is below
    1e-4 of the result; tr P/(P + t) comes from Cholesky factors. `torch.linalg.eigvalsh` would wait for the
    device.
    """
    size = matrices.shape[-1]
    t = torch.arange(_LOWEST, _HIGHEST + _STEP, _STEP, device=matrices.device, dtype=matrices.dtype).exp()
    shifted = matrices.unsqueeze(-3) + t[:, None, None] * torch.eye(size, device=t.device, dtype=t.dtype)
    factors = torch.linalg.cholesky_ex(shifted, check_errors=False).L
    inverse = torch.linalg.solve_triangular(factors, torch.eye(size, device=t.device, dtype=t.dtype), upper=False)
    shares = size - t * inverse.square().sum((-2, -1))  # tr P (P + t)^-1
    traces = matrices.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None]
    return _STEP * ((shares - traces / (1 + t)) * t).sum(-1)
