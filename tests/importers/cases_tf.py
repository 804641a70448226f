"""Cases of `test_trained.py` whose source is TensorFlow: the WGAN family; see `make_trained_tf.py`."""

from __future__ import annotations

from typing import Any

from replay import BOTH, About, Case, Translated, term
from torch import Tensor
from trained import weights

PLAYERS = ("generator", "discriminator")


def of_wgan(about: About) -> dict[str, Any]:
    """Theirs makes batch statistics of each half of a batch."""
    widths = {f"{player}.width": about["width"] for player in PLAYERS}
    rates = {f"optimizer.{player}.{key}": value for player in PLAYERS
             for key, value in (("lr.end_steps", about["length"]), ("eps", about["epsilon"]))}  # fmt: skip
    return {"data.batch_size": about["batch"], "data.image_size": 32, "accumulate": 2, **widths, **rates}


def of_wgan_div(about: About) -> dict[str, Any]:
    """On networks that both have: those of WGAN-GP's script."""
    return {"data.batch_size": about["batch"], "data.image_size": 32, "discriminator.halvings": 2,
            "discriminator.plain_blocks": 2,
            **{f"{player}.width": about["width"] for player in PLAYERS},
            **{f"{player}.growth": 1 for player in PLAYERS},
            **{f"optimizer.{player}.eps": about["epsilon"] for player in PLAYERS}}  # fmt: skip


def resnet_name(name: str) -> str:
    """Of improved_wgan_training and CT-GAN: Generator.2.Conv1.Filters."""
    _, block, *rest = name.split(".")
    if block.isdigit():
        kinds = {"Shortcut": "shortcut", "Conv1": "conv1", "Conv2": "conv2", "N1": "norm1", "N2": "norm2"}
        place = f"blocks.{int(block) - 1}.{kinds[rest[0]]}"
    elif name.startswith("Generator"):
        place = {"Input": "linear", "OutputN": "output_norm", "Output": "output"}[block]
    else:
        place = "head.linear"
    return f"{place}.{'weight' if rest[-1] in ('W', 'Filters', 'scale') else 'bias'}"


def turned(value: Tensor) -> Tensor:
    """A kernel (height, width, in, out) or a matrix (in, out) as PyTorch has them."""
    if value.ndim == 4:
        return value.permute(3, 2, 0, 1)
    return value.t() if value.ndim == 2 else value


def turned_back(value: Tensor) -> Tensor:
    return value.permute(2, 3, 1, 0) if value.ndim == 4 else turned(value)


def resnets(case: str, about: About, network: str) -> Translated:
    scale = about.get("scale", 1.0)
    values = {name: scale * value if value.ndim > 1 else value
              for name, value in weights(f"{case}/{network}", about["shapes"][network]).items()}  # fmt: skip
    state = {resnet_name(name): turned(value) for name, value in values.items()}
    return Translated({}, state, lambda ours: {name: turned_back(ours[resnet_name(name)]) for name in values})


def critics(case: str, about: About, network: str) -> Translated:
    """A critic that is low for real images is ours with the signs of its last layer changed."""
    made = resnets(case, about, network)
    if network == "G":
        return made

    def negated(tensors: dict[str, Tensor], start: str) -> dict[str, Tensor]:
        return {name: -value if name.startswith(start) else value for name, value in tensors.items()}

    return Translated({}, negated(made.state, "head."), lambda ours: negated(made.found(ours), "Discriminator.Output."))


PENALTY = {"gradient_penalty": term("discriminator", "gradient_penalty")}
CASE = {
    "wgan_gp_cifar10": Case(["experiment=wgan_gp_cifar10"], {**BOTH, **PENALTY}, of_wgan, resnets, 1e-5),
    "wgan_div_celeba": Case(
        ["experiment=wgan_div_celeba"],
        {**BOTH, "wgan_div": term("discriminator", "wgan_div")},
        of_wgan_div,
        critics,
        1e-5,
    ),
    "ct_gan_cifar10": Case(
        ["experiment=ct_gan_cifar10"],
        {**BOTH, **PENALTY, "lipschitz_consistency": term("discriminator", "lipschitz_consistency")},
        of_wgan,
        resnets,
        1e-5,
    ),
}
