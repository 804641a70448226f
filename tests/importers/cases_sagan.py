"""The case of `test_trained.py` whose source is SAGAN's TensorFlow code; see `make_trained_tf_sagan.py`."""

from __future__ import annotations

from typing import Any

from cases_tf import turned, turned_back
from replay import BOTH, About, Case, Translated
from torch import Tensor
from trained import weights

LAYERS = {"conv1": "conv1", "conv2": "conv2", "conv3": "shortcut"}
ATTENTION = {"theta": "query", "phi": "key", "g": "value", "attn": "output"}
OTHERS = {"g_snh0": "linear", "g_bn": "output_norm", "g_snconv_last": "output", "d_sn_linear": "head.linear",
          "d_embedding": "head.embedding"}  # fmt: skip


def place(name: str) -> str:
    """Of model/d_block2/sn_conv1/w, model/g_non_local/sn_conv_theta/u and the like."""
    _, layer, *inner = name.split("/")
    network = layer[0]
    if "non_local" in layer:
        attention = {"g": "attentions.2", "d": "attentions.1"}[network]
        if inner == ["sigma_ratio"]:
            return f"{attention}.gamma"
        path = f"{attention}.{ATTENTION[inner[0].removeprefix('sn_conv_')]}"
    elif "block" in layer:
        kind = inner[0].removeprefix("sn_").removeprefix("sn")
        path = f"blocks.{int(layer[-1]) - 1}.{LAYERS.get(kind) or f'norm{int(kind[-1]) + 1}'}"
    else:
        path = OTHERS[layer]
    last = inner[-1]
    if last == "u":
        return f"{path}.parametrizations.weight.0.u"
    if last in ("gamma", "beta"):
        conditional = {"gamma": "gain.weight", "beta": "offset.weight"} if "block" in layer else {}
        plain = {"gamma": "weight", "beta": "bias"}
        return f"{path}.{(conditional or plain)[last]}"
    return f"{path}.bias" if last.startswith("bias") else f"{path}.parametrizations.weight.original"


def ours(value: Tensor, name: str) -> Tensor:
    """Their tensor in our shape: the first layer's map is (h, w, C) there and (C, h, w) here."""
    if name == "model/g_snh0/Matrix":
        return value.t().unflatten(0, (4, 4, -1)).permute(2, 0, 1, 3).flatten(0, 2)
    if name.startswith("model/g_snh0/"):
        return value.flatten().unflatten(0, (4, 4, -1)).permute(2, 0, 1).flatten()
    if name.endswith("/u"):
        return value.flatten()
    if name.endswith("/gamma") and "block" in name:  # ours is what is added to 1
        return value - 1
    return turned(value) if value.ndim == 4 or name.endswith("/Matrix") else value


def back(value: Tensor, name: str) -> Tensor:
    if name == "model/g_snh0/Matrix":
        return value.unflatten(0, (-1, 4, 4)).permute(1, 2, 0, 3).flatten(0, 2).t()
    if name.startswith("model/g_snh0/"):
        return value.unflatten(0, (-1, 4, 4)).permute(1, 2, 0).flatten()
    if name.endswith("/gamma") and "block" in name:
        return value + 1
    return turned_back(value) if value.ndim == 4 or name.endswith("/Matrix") else value


def sagan(case: str, about: About, network: str) -> Translated:
    values = weights(f"{case}/{network}", about["shapes"][network])
    state = {place(name): ours(value, name) for name, value in values.items()}
    return Translated({}, state, lambda found: {name: back(found[place(name)], name) for name in values})


def of_sagan(about: About) -> dict[str, Any]:
    options: dict[str, Any] = {"data.batch_size": about["batch"], "data.image_size": about["size"],
                               "data.num_classes": about["classes"],
                               "generator.latent_dim": about["latent_dim"]}  # fmt: skip
    for player in BOTH:
        options |= {f"{player}.width": about["width"], f"optimizer.{player}.eps": about["epsilon"]}
    return options


CASE = {"sagan_imagenet128": Case(["experiment=sagan_imagenet128"], BOTH, of_sagan, sagan, 2e-5)}
