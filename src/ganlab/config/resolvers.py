"""Functions that recipes may use in ``${...}``: numbers that follow from others."""

from __future__ import annotations

from typing import Any

from omegaconf import OmegaConf


def stylegan2_auto(what: str, image_size: Any, devices: Any = 1) -> float | int:
    """Return a number of StyleGAN2-ADA's automatic configuration.

    With R the image's longer side and N devices, B = max(min(N·min(4096/R, 32), 64), N) images are a batch, groups of
    the minibatch standard deviation have min(B/N, 4), the average's half-life is B·10/32 kimg, the
    rate 0.002 from 1024 pixels on and 0.0025 below, and widths are halved below 512 pixels.

    Source: stylegan2-ada-pytorch d72cc7d, train.py:166-175 ("auto").

    Args:
        what: ``batch_size``, ``stddev_group``, ``half_life_kimg``, ``lr`` or ``width``.
        image_size: ``data.image_size``.
        devices: ``trainer.devices``.

    Raises:
        ValueError: If the size is not given, or ``devices`` is no number or list.
    """
    sides = list(image_size) if hasattr(image_size, "__iter__") and not isinstance(image_size, str) else [image_size]
    if not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError("data.image_size must be given: batch and widths follow from it")
    count = len(devices) if hasattr(devices, "__iter__") and not isinstance(devices, str) else devices
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"trainer.devices must be a number of devices from which the batch follows, got {devices}")
    side = max(sides)
    batch = max(min(count * min(4096 // side, 32), 64), count)
    return {
        "batch_size": batch,
        "stddev_group": max(2, min(batch // count, 4)),
        "half_life_kimg": batch * 10 / 32,
        "lr": 0.002 if side >= 1024 else 0.0025,
        "width": 16384 if side >= 512 else 8192,
    }[what]


def register() -> None:
    """Let OmegaConf know them."""
    OmegaConf.register_new_resolver("stylegan2_auto", stylegan2_auto, replace=True)
