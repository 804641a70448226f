"""Cases of `test_trained.py` whose source is chainer: SNGAN; see `make_trained_chainer.py`."""

from __future__ import annotations

from typing import Any

from replay import BOTH, About, Case, Translated
from torch import Tensor
from trained import weights

PLAYERS = ("generator", "discriminator")
KINDS = {"c1": "conv1", "c2": "conv2", "c_sc": "shortcut", "b1": "norm1", "b2": "norm2", "l1": "linear",
         "b5": "output_norm", "b7": "output_norm", "c5": "output", "l_y": "head.embedding"}  # fmt: skip
FIELDS = {"W": "weight", "gamma": "weight", "b": "bias", "beta": "bias", "avg_mean": "running_mean",
          "avg_var": "running_var", "gammas.W": "gain.weight", "betas.W": "offset.weight"}  # fmt: skip


def of_sngan(about: About) -> dict[str, Any]:
    """The fixture does not dequantize."""
    options: dict[str, Any] = {
        "data.batch_size": about["batch"],
        "data.image_size": about["size"],
        "data.num_classes": about["classes"],
        "data.dequantize": False,
        "generator.latent_dim": about["latent_dim"],
    }
    for player in PLAYERS:
        options[f"{player}.width"] = about["width"]
        options[f"optimizer.{player}.eps"] = about["epsilon"]
        options[f"optimizer.{player}.lr"] = {"from": 2e-4, "to": 0.0, "start_steps": about["decay_from"],
                                             "end_steps": about["end"]}  # fmt: skip
    return options


def sngan_name(network: str, name: str) -> str:
    """Of a tensor there: block2.c1.W, block3.b1.gammas.W, l_y.u."""
    layer, field = name.split(".", 1)
    if layer.startswith("block"):
        kind, field = field.split(".", 1)
        place = f"blocks.{int(layer[5:]) - (2 if network == 'G' else 1)}.{KINDS[kind]}"
    elif layer in ("l5", "l7"):
        place = "output" if network == "G" else "head.linear"
    else:
        place = KINDS[layer]
    if network == "D" and field in ("W", "u"):
        return f"{place}.parametrizations.weight.{'original' if field == 'W' else '0.u'}"
    return f"{place}.{FIELDS[field]}"


def sngan(case: str, about: About, network: str) -> Translated:
    shapes = {name: shape for name, shape in about["shapes"][network].items() if not name.endswith(".N")}
    values = weights(f"{case}/{network}", shapes)
    for name, value in values.items():
        values[name] = started(name, value)
    names = {name: sngan_name(network, name) for name in values}
    state = {ours: values[name].flatten() if name.endswith(".u") else values[name] for name, ours in names.items()}
    gains = {name: 1.0 for name in names.values() if name.endswith("gain.weight")}  # ours are what is added to 1
    state = {name: value - gains.get(name, 0.0) for name, value in state.items()}
    return Translated(
        {}, state, lambda ours: {theirs: ours[name] + gains.get(name, 0.0) for theirs, name in names.items()}
    )


def started(name: str, value: Tensor) -> Tensor:
    """Vectors of spectral norm are unit vectors; statistics are those of nothing seen."""
    if name.endswith(".u"):
        return value / value.norm()
    statistics = {"avg_mean": 0.0, "avg_var": 1.0}
    last = name.rpartition(".")[2]
    return value.new_full(value.shape, statistics[last]) if last in statistics else value


CASE = {
    "sngan_cifar10": Case(["experiment=sngan_cifar10"], BOTH, of_sngan, sngan, 1e-5),
    "sngan_imagenet128": Case(["experiment=sngan_imagenet128"], BOTH, of_sngan, sngan, 1e-4),
}
