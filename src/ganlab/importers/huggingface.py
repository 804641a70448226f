"""BigGAN-deep as Hugging Face converted TensorFlow Hub's weights: a generator, with statistics for each truncation.

Each batch norm has a table of statistics, a row for every 1/50 of truncation; ``truncation`` says which row is
taken, and the run then draws latents as that code does: truncation times a normal number given that it is within
±2. Between rows they are interpolated, by weights that are exchanged there: at .33 it has row 16 where 17 is
nearer, and by rounding row 8 instead of 7 at .14. Here the nearer row counts more. Of the last convolution's output
channels, all but three of which are thrown away there, three are kept: its σ, which is that of the whole
convolution, stays as it is in evaluation; in a fine-tuning it becomes that of the three.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.importers.network import Network, Table, Tensors, back, one_or_several, side, stages, translate
from ganlab.models.biggan import generator_multiples

NAME = "huggingface"
SN_EPS = 1e-4

VECTORS = {"weight": "weight_orig", "u": "weight_u", "v": "weight_v"}
CHANNELS = 3
OPTIONS = {"truncation": 1.0}  # in (0, 1]
THRESHOLD = 2.0


def role(tensors: dict[str, Tensor]) -> str | None:
    return (
        "generator" if "embeddings.weight" in tensors and any("generator.gen_z." in name for name in tensors) else None
    )


def generator(tensors: Tensors, truncation: float = 1.0) -> Network:
    if not 0 < truncation <= 1:
        raise GanlabError(f"truncation must be above 0 and at most 1 for format={NAME}, got {truncation:g}.")
    layers = tensors.count(r"generator\.layers\.(\d+)\.")
    attentions = tensors.places(r"generator\.layers\.(\d+)\.snconv1x1_theta")
    order = [i for i in range(layers) if i not in attentions]
    table = _table(order, attentions)
    channels = [
        (
            tensors[f"generator.layers.{i}.conv_0.weight_orig"].shape[1],
            tensors[f"generator.layers.{i}.conv_3.weight_orig"].shape[0],
        )
        for i in order
    ]
    count, depth, width = stages(channels, generator_multiples, tensors["generator.bn.weight"].shape[0], tensors.source)
    shared_dim, classes = tensors["embeddings.weight"].shape
    rows, inputs = tensors["generator.gen_z.weight_orig"].shape
    base = side(rows // channels[0][0], "generator.gen_z")
    state, sources, surplus = translate(tensors, table, VECTORS)
    _rearrange(state, sources, inputs - shared_dim, base, truncation)
    places = [base * 2 ** (sum(i < layer for i in order) // depth) for layer in attentions]
    return Network(
        "biggan_deep",
        {
            "width": width,
            "depth": depth,
            "latent_dim": inputs - shared_dim,
            "shared_dim": shared_dim,
            "attention": one_or_several(places),
            "norm_eps": 1e-4,
            "output_norm_eps": 1e-4,
        },
        state,
        back(table, VECTORS),
        normalized=True,
        stored=True,
        image=(base * 2**count, CHANNELS, classes),
        sources=sources,
        surplus=surplus,
        settings={"prior": "truncated", "prior.threshold": THRESHOLD, "prior.scale": truncation},
    )


def _table(order: list[int], attentions: list[int]) -> Table:
    """The names of modules, from the numbers of the layers that are blocks and of those that are attention."""
    pairs = [("embeddings", "embedding"), ("generator.gen_z", "linear")]
    for block, layer in enumerate(order):
        at = f"generator.layers.{layer}"
        for k in range(4):
            pairs += [
                (f"{at}.conv_{k}", f"blocks.{block}.conv{k + 1}"),
                (f"{at}.bn_{k}", f"blocks.{block}.norm{k + 1}"),
            ]
            pairs += [
                (f"{at}.bn_{k}.{a}", f"blocks.{block}.norm{k + 1}.{b}")
                for a, b in (("scale", "gain"), ("offset", "offset"))
            ]
    for layer in attentions:
        block = sum(i < layer for i in order) - 1
        pairs.append((f"generator.layers.{layer}", f"attentions.{block}"))
        pairs += [
            (f"generator.layers.{layer}.snconv1x1_{theirs}", f"attentions.{block}.{ours}")
            for theirs, ours in (("theta", "query"), ("phi", "key"), ("g", "value"), ("o_conv", "output"))
        ]
    pairs += [("generator.bn", "output_norm"), ("generator.conv_to_rgb", "output")]
    return Table(pairs, {"running_means": "running_mean", "running_vars": "running_var"})


def _row(table: Tensor, truncation: float) -> Tensor:
    """The statistics at ``truncation`` in (0, 1]; rows are at 0, 1/(rows - 1), 2/(rows - 1), ..., 1."""
    place = round(truncation * (len(table) - 1), 9)
    below = min(int(place), len(table) - 2) if len(table) > 1 else 0
    return torch.lerp(table[below], table[min(below + 1, len(table) - 1)], place - below)


def _rearrange(
    state: dict[str, Tensor], sources: dict[str, str], latent_dim: int, base: int, truncation: float
) -> None:
    """Bring tensors to our order: their conditions are (z, class), their first map is (h, w, c), and so on."""

    def change(pattern: str, how: Callable[[Tensor], Tensor]) -> None:
        for key in state:
            if re.search(pattern, key):
                try:
                    state[key] = how(state[key])
                except RuntimeError as error:
                    raise GanlabError(
                        f"{sources[key]} has a shape that does not fit, {tuple(state[key].shape)}."
                    ) from error

    def class_first(x: Tensor) -> Tensor:  # the last dimension is the condition
        return torch.cat([x[..., latent_dim:], x[..., :latent_dim]], -1)

    def channels_first(x: Tensor) -> Tensor:  # the first dimension is (h, w, c)
        return x.unflatten(0, (base, base, -1)).movedim(2, 0).flatten(0, 2)  # (c·h·w, ...)

    change(r"^embedding\.weight$", lambda x: x.t())
    change(r"(gain|offset)\.parametrizations\.weight\.(original|0\.v)$", class_first)
    change(r"^linear\.parametrizations\.weight\.(original|0\.v)$", class_first)
    change(r"^linear\.(bias|parametrizations\.weight\.(original|0\.u))$", channels_first)
    change(r"norm\d?\.running_(mean|var)$", lambda x: _row(x, truncation))

    prefix = "output.parametrizations.weight"
    if {f"{prefix}.original", f"{prefix}.0.u", f"{prefix}.0.v"} <= set(state):
        weight, u, v = (state[f"{prefix}.{name}"].double() for name in ("original", "0.u", "0.v"))
        if (len(u), len(v)) != weight.flatten(1).shape:
            raise GanlabError("generator.conv_to_rgb.weight_u, weight_v and weight_orig do not fit each other.")
        sigma = u @ weight.flatten(1) @ v
        left, values, right = torch.linalg.svd(weight[:CHANNELS].flatten(1), full_matrices=False)
        state[f"{prefix}.original"] = state[f"{prefix}.original"][:CHANNELS]
        state[f"{prefix}.0.u"] = left[:, 0].float()
        state[f"{prefix}.0.v"] = (right[0] * (sigma / values[0])).float()  # not of length 1, so that uᵀWv = σ
        if "output.bias" in state and len(state["output.bias"]) == len(weight):
            state["output.bias"] = state["output.bias"][:CHANNELS]
