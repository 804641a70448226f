"""Rules for the strength of R1 and R2, from the images' size, the batch and the length of a run."""

from __future__ import annotations

import math
from typing import Any

from ganlab.contracts.automatic import RunOutline

EXPONENT = math.log(150 / 2) / math.log(256 / 64)  # 3.11


def gamma(run: RunOutline) -> tuple[float | dict[str, Any], str]:
    """Return gamma for a run, or a schedule of it, and the rule that gives it in a few words.

    With one of the penalties gamma = 0.0002·H·W/B, B being the batch. Source: StyleGAN2-ADA (arXiv:2006.06676), whose
    code calls it a heuristic formula (stylegan2-ada-pytorch d72cc7d, train.py:173).

    With both, as in R3GAN, gamma begins at 2·(R/64)^3.11, R = sqrt(H·W), and falls to a tenth along half a cosine over
    the run; it stays as it is where the run's length is not known. Source: R3GAN's authors (arXiv:2501.05441) give no
    rule. This is the power law through their two settings of one data set, FFHQ: 2 at 64 and 150 at 256 pixels (R3GAN
    19a7ddf, train.py:211, 227). All five of their settings fall so. Of the others it gives 0.231 at 32 pixels, where
    they have 0.05 (CIFAR-10) and 0.5 (ImageNet), and 2 at 64, where ImageNet has 1. They have none below 32 pixels,
    where R is 32.

    Raises:
        ValueError: If the run's data are points.
    """
    _, height, width = run.shape
    if height * width == 1:
        raise ValueError("gamma=auto follows from the size of images, and these are points: give a number")
    penalized = {getattr(each, "penalizes", "") for each in run.regularizers}
    if not {"real", "fake"} <= penalized:
        value = _rounded(0.0002 * height * width / run.batch_size)
        return value, f"{value:g}, StyleGAN2-ADA's 0.0002 x {height} x {width} / {run.batch_size}"
    side = max(math.sqrt(height * width), 32)
    first = _rounded(2 * (side / 64) ** EXPONENT)
    rule = f"R3GAN's for FFHQ, 2 x ({side:.4g} / 64)^{EXPONENT:.2f}"
    if not run.end:
        return first, f"{first:g}, {rule}"
    last = _rounded(first / 10)
    return {"from": first, "to": last, **run.end, "shape": "cosine"}, f"{first:g} falling to {last:g}, {rule}"


def _rounded(value: float) -> float:
    """Three digits, for a number that is read."""
    return float(f"{value:.3g}")


def known(value: float | str) -> float:
    """Return a gamma that is a number.

    Raises:
        ValueError: If it is ``auto``, which only a run can fill in.
    """
    if isinstance(value, str):
        raise ValueError(
            f"gamma={value} follows from the images and the batch of a run of `ganlab train`: give a number here"
        )
    return value
