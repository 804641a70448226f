"""Cases of `test_trained.py` whose source is TensorFlow: TTUR's DCGAN; see `make_trained_tf_more.py`."""

from __future__ import annotations

from typing import Any

from cases_tf import PLAYERS
from replay import BOTH, About, Case, Translated
from torch import Tensor
from trained import weights

INPUT_BIAS = "generator/g_h0_lin/bias"


def of_ttur(about: About) -> dict[str, Any]:
    return {"data.batch_size": about["batch"], "data.image_size": about["size"],
            "generator.latent_dim": about["latent_dim"],
            **{f"{player}.width": about["width"] for player in PLAYERS},
            **{f"optimizer.{player}.eps": about["epsilon"] for player in PLAYERS}}  # fmt: skip


def dcgan_name(name: str) -> str:
    """Of generator/g_h1/w, discriminator/d_bn1/gamma and the like."""
    network, layer, last = name.split("/")
    field = "bias" if last in ("biases", "bias", "beta") else "weight"
    if layer.endswith("_lin"):
        return f"linear.{field}"
    number = int(next(letter for letter in layer if letter.isdigit()))
    kind = "norms" if "_bn" in layer else "convs"
    return f"{kind}.{number - (network == 'generator' and kind == 'convs')}.{field}"


def turned_around(value: Tensor, name: str) -> Tensor:
    """Their kernel or matrix as ours; maps are turned by 180 degrees, see `make_trained_tf_more.py`."""
    if value.ndim == 4:
        return value.flip(0, 1).permute(3, 2, 0, 1)
    if name == INPUT_BIAS:
        return value.unflatten(0, (4, 4, -1)).flip(0, 1).permute(2, 0, 1).flatten()
    if value.ndim == 2 and name.startswith("generator"):
        return value.t().unflatten(0, (4, 4, -1)).flip(0, 1).permute(2, 0, 1, 3).flatten(0, 2)
    return value.t().unflatten(1, (4, 4, -1)).flip(1, 2).permute(0, 3, 1, 2).flatten(1) if value.ndim == 2 else value


def turned_around_back(value: Tensor, name: str) -> Tensor:
    if value.ndim == 4:
        return value.permute(2, 3, 1, 0).flip(0, 1)
    if name == INPUT_BIAS:
        return value.unflatten(0, (-1, 4, 4)).permute(1, 2, 0).flip(0, 1).flatten()
    if value.ndim == 2 and name.startswith("generator"):
        return value.unflatten(0, (-1, 4, 4)).permute(1, 2, 0, 3).flip(0, 1).flatten(0, 2).t()
    return value.unflatten(1, (-1, 4, 4)).permute(0, 2, 3, 1).flip(1, 2).flatten(1).t() if value.ndim == 2 else value


def dcgan(case: str, about: About, network: str) -> Translated:
    values = weights(f"{case}/{network}", about["shapes"][network])
    state = {dcgan_name(name): turned_around(value, name) for name, value in values.items()}
    return Translated(
        {}, state, lambda ours: {name: turned_around_back(ours[dcgan_name(name)], name) for name in values}
    )


CASE = {"ttur_celeba": Case(["experiment=ttur_celeba"], BOTH, of_ttur, dcgan, 1e-5)}
