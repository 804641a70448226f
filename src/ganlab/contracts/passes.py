"""Passes of a game's discriminator over images of one kind, or over several kinds at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ganlab.contracts.view import Points, View


def features(view: View, group: Sequence[Points]) -> list[Tensor]:
    """The last maps before the head, of one pass over all of ``group``, after the regularizers' hooks."""
    images, company, sizes = _joined(view, group)
    whole = view.run("discriminator", images, *company, method="features", part_of=group[0], sizes=sizes)
    found = []
    for points, own in zip(group, _parts(whole, sizes), strict=True):
        for regularizer in view.hooks.features:
            own = regularizer.features(own, points.role, view)
        found.append(own)
    return found


def logits(view: View, group: Sequence[Points], maps: Sequence[Tensor] | None = None) -> list[Tensor]:
    """Logits in float32 at least, of one pass over all of ``group``.

    Args:
        maps: The features of the same pass, which the head then judges; None: the pass begins with the images.
    """
    if maps is None:
        images, company, sizes = _joined(view, group)
        whole = view.run("discriminator", images, *company, part_of=group[0], sizes=sizes)
    else:
        sizes = [len(points.images) for points in group]
        labels = _whole([points.labels for points in group])
        whole = view.run("discriminator", _whole(maps), labels, method="head", part_of=group[0], sizes=sizes)
    return list(_parts(whole.float() if whole.dtype in (torch.bfloat16, torch.float16) else whole, sizes))


def eager_logits(view: View, points: Points) -> Tensor:
    """Logits of a pass of its own, in the precision of the images and never compiled as a whole."""
    discriminator = cast(Any, view.game.get_submodule("discriminator"))
    if not hasattr(discriminator, "head"):  # ``forward`` itself: a compiled module compiles its call only
        return discriminator.forward(view.seen(points), *points.company)
    maps = discriminator.features(view.seen(points), *points.company)
    for regularizer in view.hooks.features:
        maps = regularizer.features(maps, points.role, view)
    return discriminator.head(maps, points.labels)


def _joined(view: View, group: Sequence[Points]) -> tuple[Tensor | None, list[Tensor | None], list[int]]:
    """Images as the discriminator sees them, what else it is given, and the number of images of each kind."""
    images = _whole([view.seen(points) for points in group])
    company = [_whole(given) for given in zip(*(points.company for points in group), strict=True)]
    return images, company, [len(points.images) for points in group]


def _whole(parts: Sequence[Tensor | None]) -> Tensor | None:
    return parts[0] if len(parts) == 1 or parts[0] is None else torch.cat(cast(list[Tensor], list(parts)))


def _parts(whole: Tensor, sizes: Sequence[int]) -> Sequence[Tensor]:
    return (whole,) if len(sizes) == 1 else whole.split(list(sizes))
