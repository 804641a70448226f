"""Adaptive discriminator augmentation."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ganlab.augmentations.images import require_batch, require_images
from ganlab.augmentations.transforms import BANDS, COLOR, GEOMETRY, transformed
from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.plan import Progress
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.core import distributed
from ganlab.core.checks import at_least, at_least_zero, checked, positive, share
from ganlab.core.errors import one_of, suggestion
from ganlab.core.ranges import Range

_GROUPS = {"b": GEOMETRY[:3], "g": GEOMETRY[3:], "c": COLOR, "f": ("imgfilter",), "n": ("noise",), "o": ("cutout",)}
POLICIES = {
    name: tuple(transform for group in groups for transform in _GROUPS[group])
    for name, groups in {
        "blit": "b", "geom": "g", "color": "c", "filter": "f", "noise": "n", "cutout": "o",
        "bg": "bg", "bgc": "bgc", "bgcf": "bgcf", "bgcfn": "bgcfn", "bgcfnc": "bgcfno",
    }.items()
}  # fmt: skip
TRANSFORMS = POLICIES["bgcfnc"]

# The published ranges (Karras et al. 2020, appendix B): standard deviations unless said otherwise.
XINT_MAX = 0.125  # shares of the side
SCALE, ANISO, XFRAC = 0.2, 0.2, 0.125  # log2, log2, shares of the side
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0  # absolute, log2, log2
IMGFILTER, NOISE = 1.0, 0.1  # log2, absolute
HOLE = 0.5  # share of the side


class ADA(Regularizer):
    """Adaptive discriminator augmentation: every image that the discriminator sees goes through a pipe of
    transformations, each applied with probability p, and p follows how much the discriminator overfits.

    r = E[sign(D(x))] over augmented training images x; after every ``interval_steps`` iterations in which n real
    images were shown, p <- max(0, p + sign(r - target) * n / (1000 * kimg)).

    Real and fake images are treated alike, in all turns and by penalties too, whose input gradients are those at the
    images before augmentation. The pipe is differentiable twice and runs in float32 at least. Its draws are made for
    the global batch, anew for each pass, but the noise of single pixels keys on the rank; r is the mean over ranks,
    and p and r are saved. Networks never see what the pipe does to the grids that they sample.

    Source: Karras et al. 2020 (arXiv:2006.06676), sec. 3 and appendix B, with the ranges of appendix B; the code
    (NVlabs/stylegan2-ada-pytorch) takes the signs of R1's own passes into r too, here those of main turns count.

    Args:
        policy: The transformations of the pipe: ``blit`` (mirroring, quarter turns, whole pixels), ``geom`` (scaling,
            rotation, fractions of pixels), ``color``, ``filter`` (bands of frequencies), ``noise``, ``cutout``, or as
            published ``bg``, ``bgc``, ``bgcf``, ``bgcfn``, ``bgcfnc`` (their first letters).
        multipliers: Transformation -> factor on p, at least 0, such as ``{cutout: 1, hue: 0.5}``; those of the policy
            have 1, and 0 takes one out.
        p: Probability at the start, in [0, 1]; with ``target=null`` it stays, or follows a schedule.
        target: The value of r that p is adapted to, in [-1, 1]; null holds p.
        interval_steps: Iterations between two changes of p, at least 1.
        kimg: Thousands of real images in which p can go from 0 to 1, positive.

    Raises:
        ValueError: If an option is out of range.
    """

    addresses = (Address("discriminator"),)
    adapted: Tensor
    signs: Tensor
    since: Tensor

    def __init__(
        self,
        policy: str = "bgc",
        multipliers: Mapping[str, float] | None = None,
        p: float = 0.0,
        target: float | None = 0.6,
        interval_steps: int = 4,
        kimg: float = 500.0,
    ) -> None:
        super().__init__()
        one_of(policy, POLICIES, "policy")
        given = dict(multipliers or {})
        for name, value in given.items():
            if name not in TRANSFORMS:
                raise ValueError(
                    f"multipliers: no transformation is called {name!r}.{suggestion(name, TRANSFORMS)} "
                    f"Known: {', '.join(TRANSFORMS)}"
                )
            at_least_zero(f"multipliers.{name}", value)
        if target is not None:
            checked("target", target, Range(least=-1, most=1))
        factors = {**dict.fromkeys(POLICIES[policy], 1.0), **given}
        self.multipliers = {name: factors[name] for name in TRANSFORMS if factors.get(name)}
        self.p: float | Tensor = share("p", p)
        self.target, self.kimg = target, positive("kimg", kimg)
        self.interval_steps = at_least("interval_steps", interval_steps, 1)
        self.register_buffer("adapted", torch.tensor(float(p)))
        self.register_buffer("signs", torch.zeros(2))  # the sum since the last change, and how many
        self.register_buffer("since", torch.zeros((), dtype=torch.int64))  # images seen at the last change
        self.fixed_margins = False
        if target is None:
            self.idle_hooks = ("before_iteration", "terms")
        else:
            self.needs = ("adversarial",)

    def attach(self, game: Game) -> None:
        super().attach(game)
        require_images(game, "ada")

    def before_recording(self) -> None:
        self.fixed_margins = True

    @torch.no_grad()
    def before_iteration(self, progress: Progress) -> None:
        if progress.iteration % self.interval_steps:
            return
        total, count = self.signs.unbind()
        shown = progress.images_seen - self.since
        moved = moved_probability(self.adapted, total / count, float(self.target or 0), shown, self.kimg)
        self.adapted.copy_(torch.where(count > 0, moved, self.adapted))
        self.since.fill_(progress.images_seen)
        self.signs.zero_()

    def images(self, images: Tensor, role: str, view: View) -> Tensor:
        require_batch(images, "ada")
        dtype = torch.promote_types(images.dtype, torch.float32)
        p = self.adapted
        if self.target is None:  # no copy of a number of the host, which would make it wait
            p = self.p if isinstance(self.p, Tensor) else images.new_full((), self.p, dtype=dtype)
        with torch.autocast(images.device.type, enabled=False):
            images = images.to(dtype)
            uniform = view.draw(f"ada uniform of {role}", (len(images), UNIFORMS), "uniform").to(images)
            normal = view.draw(f"ada normal of {role}", (len(images), NORMALS), "normal").to(images)
            parameters = drawn(uniform, normal, p.to(images), self.multipliers)
            if images.shape[1] == 1:  # grey has neither hue nor saturation
                parameters = {name: value for name, value in parameters.items() if name not in ("hue", "saturation")}
            if "noise" in parameters:
                noise = view.stream.draw_on_rank(f"ada noise of {role}", (len(images), images[0].numel()), "normal")
                parameters["noise"] = torch.cat([parameters["noise"][:, None], noise.to(images)], 1)
            return transformed(images, parameters, fixed_margins=self.fixed_margins)

    def terms(self, player: str, view: View) -> Terms:
        """Count signs; there is no term."""
        signs = view.logits(view.reals).detach().sign()
        counts = torch.stack([signs.sum(), torch.ones_like(signs).sum()])
        self.signs += (view.mean(counts) * distributed.world_size()).to(self.signs)
        view.note("augment/p", self.adapted.clone())
        view.note("augment/sign", signs.mean())
        return {}


def moved_probability(p: Tensor, sign: Tensor, target: float, images: Tensor, kimg: float) -> Tensor:
    """max(0, p + sign(sign - target) * images / (1000 * kimg)): p grows where the discriminator is too sure."""
    return (p + (sign - target).sign() * images / (1000 * kimg)).clamp(min=0)


# --- the draws, a column each for any policy, so that no transformation shifts the draws of another

_GATES = (*(t for t in TRANSFORMS if t not in ("rotate", "imgfilter")), "rotate", "rotate after", "band 0", "band 1",
          "band 2", "band 3")  # fmt: skip
_UNIFORM = (
    "xflip",
    "rotate90",
    "xint x",
    "xint y",
    "rotate",
    "rotate after",
    "lumaflip",
    "hue",
    "cutout x",
    "cutout y",
)
_NORMAL = ("scale", "aniso", "xfrac x", "xfrac y", "brightness", "contrast", "saturation", "noise", "band 0", "band 1",
           "band 2", "band 3")  # fmt: skip
UNIFORMS, NORMALS = len(_GATES) + len(_UNIFORM), len(_NORMAL)


def drawn(uniform: Tensor, normal: Tensor, p: Tensor, multipliers: Mapping[str, float]) -> dict[str, Tensor]:
    """Parameters for `transforms.transformed`, neutral ones where the transformation is not drawn.

    Args:
        uniform: (B, UNIFORMS) of U[0, 1).
        normal: (B, NORMALS) of N(0, 1).
        p: Probability, a scalar.
        multipliers: Transformation -> factor on p; only these are drawn.
    """
    gates = dict(zip(_GATES, uniform.unbind(1), strict=False))
    u = dict(zip(_UNIFORM, uniform.unbind(1)[len(_GATES) :], strict=True))
    n = dict(zip(_NORMAL, normal.unbind(1), strict=True))

    def around(name: str, most: float) -> Tensor:  # U(-most, most)
        return (2 * u[name] - 1) * most

    def power(name: str, std: float) -> Tensor:
        return torch.exp2(n[name] * std)

    values = {
        "xflip": lambda: (2 * u["xflip"]).floor(),
        "rotate90": lambda: (4 * u["rotate90"]).floor(),
        "xint": lambda: torch.stack([around("xint x", XINT_MAX), around("xint y", XINT_MAX)], 1),
        "scale": lambda: power("scale", SCALE),
        "aniso": lambda: power("aniso", ANISO),
        "xfrac": lambda: torch.stack([n["xfrac x"], n["xfrac y"]], 1) * XFRAC,
        "brightness": lambda: n["brightness"] * BRIGHTNESS,
        "contrast": lambda: power("contrast", CONTRAST),
        "lumaflip": lambda: (2 * u["lumaflip"]).floor(),
        "hue": lambda: around("hue", math.pi),
        "saturation": lambda: power("saturation", SATURATION),
        "noise": lambda: n["noise"].abs() * NOISE,
        "cutout": lambda: torch.stack([torch.full_like(u["cutout x"], HOLE), u["cutout x"], u["cutout y"]], 1),
    }
    found = {}
    for name, factor in multipliers.items():
        if name == "rotate":  # P(before or after) = p
            each = 1 - (1 - factor * p).clamp(0, 1).sqrt()
            angles = [torch.where(gates[k] < each, around(k, math.pi), 0) for k in ("rotate", "rotate after")]
            found[name] = torch.stack(angles, 1)
        elif name == "imgfilter":
            bands = [f"band {i}" for i in range(BANDS)]
            gains = [torch.where(gates[band] < factor * p, power(band, IMGFILTER), 1) for band in bands]
            found[name] = torch.stack(gains, 1)
        else:
            value = values[name]()
            passed = (gates[name] < factor * p).view(-1, *[1] * (value.ndim - 1))
            found[name] = torch.where(passed, value, 1 if name in _FACTORS else 0)
    return found


_FACTORS = ("scale", "aniso", "contrast", "saturation")  # 1 leaves an image as it is, 0 in all others
