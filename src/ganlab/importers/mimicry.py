"""Checkpoints of mimicry: SNGAN, SAGAN, cGAN-PD and WGAN-GP at 32, 48, 64 and 128 pixels.

Their tensors do not say where attention is if all maps have as many channels (SAGAN at 32 pixels):
then it is where mimicry has it. A discriminator without spectral norm is WGAN-GP's, which takes means.
"""

from __future__ import annotations

import re

from torch import Tensor

from ganlab.importers.network import SN_FIELDS, Network, Table, Tensors, back, side, translate

NAME = "mimicry"
SN_EPS = 1e-12

VECTORS = {"weight": "weight_orig", "u": "weight_u", "v": "weight_v"}
OWN_VECTORS = {"weight": "weight", "u": "sn_u"}


def role(tensors: dict[str, Tensor]) -> str | None:
    if any(re.match(r"block2\.b1\.", name) for name in tensors) and any(name.startswith("l1.") for name in tensors):
        return "generator"
    blocks = any(re.match(r"block1\.c1\.weight", name) for name in tensors)
    return "discriminator" if blocks and any(re.match(r"l\d\.weight", name) for name in tensors) else None


def generator(tensors: Tensors) -> Network:
    count = tensors.count(r"block(\d+)\.c1\.") - 2  # they count from block2 on
    blocks = [(f"block{i + 2}", f"blocks.{i}") for i in range(count)]
    embedded = [value for name, value in tensors.items() if name.endswith(".embed.weight")]
    pairs = [("l1", "linear"), (f"b{count + 2}", "output_norm"), (f"c{count + 2}", "output"), *_attention(count)]
    for theirs, ours in blocks:
        pairs += [(f"{theirs}.c{k}", f"{ours}.conv{k}") for k in (1, 2)] + [(f"{theirs}.c_sc", f"{ours}.shortcut")]
        for k in (1, 2):
            pairs += [(f"{theirs}.b{k}{'.bn' if embedded else ''}", f"{ours}.norm{k}")]
            pairs += [(f"{theirs}.b{k}.embed", f"{ours}.norm{k}.{name}") for name in ("embed", "gain", "offset")]
    rows, latent_dim = _weight(tensors, "l1").shape
    first, last = _weight(tensors, "block2.c1").shape[1], _weight(tensors, f"block{count + 1}.c2").shape[0]
    base = side(rows // first, "l1")
    growth = 1 if first == last else 2
    heights = [base * 2 ** (i + 1) for i in range(count)]
    outputs = [_weight(tensors, f"block{i + 2}.c2").shape[0] for i in range(count)]
    options: dict[str, object] = {"width": last, "growth": growth, "upsampling": "bilinear", "latent_dim": latent_dim}
    at = _place(tensors, outputs, 1)
    if at is not None:
        options["attention"] = heights[at]
    network = _network("sngan" if at is None else "sagan", options, tensors, Table(_placed(pairs, at)))
    _split_embeddings(network)
    channels = _weight(tensors, f"c{count + 2}").shape[0]
    network.image = (base * 2**count, channels, embedded[0].shape[0] if embedded else 0)
    return network


def discriminator(tensors: Tensors, image: tuple[int, int, int]) -> Network:
    count = tensors.count(r"block(\d+)\.c1\.") - 1
    linear = next((m[1] for name in tensors if (m := re.match(r"(l\d)\.", name))), f"l{count + 1}")
    pairs = [(linear, "head.linear"), ("l_y", "head.embedding"), *_attention(count)]
    for i in range(count):
        pairs += [(f"block{i + 1}.c{k}", f"blocks.{i}.conv{k}") for k in (1, 2)] + [
            (f"block{i + 1}.c_sc", f"blocks.{i}.shortcut")
        ]
    outputs = [_weight(tensors, f"block{i + 1}.c2").shape[0] for i in range(count)]
    growth = 1 if outputs[0] == outputs[-1] else 2
    halvings = 2 if growth == 1 else count - 1
    if growth != 1 and image[0] == 64:  # there only the last block halves the map as well
        halvings = count
    options: dict[str, object] = {
        "width": outputs[0],
        "growth": growth,
        "halvings": halvings,
        "plain_blocks": count - halvings,
        "shortcut_activation": True,
    }
    at = _place(tensors, outputs, 1)
    if at is not None:
        options.update(attention=image[0] >> min(at + 1, halvings), wide=False)
    normalized = any(name.endswith(("weight_u", "sn_u")) for name in tensors)
    if not normalized:
        options["pooling"] = "mean"
    return _network("sngan" if at is None else "sagan", options, tensors, Table(_placed(pairs, at)))


def _network(component: str, options: dict[str, object], tensors: Tensors, table: Table) -> Network:
    modules = {name.rpartition(".")[0] for name in tensors if name.endswith((".sn_u", ".sn_sigma"))}
    own = Tensors({k: v for k, v in tensors.items() if k.rpartition(".")[0] in modules}, tensors.source)
    rest = Tensors({k: v for k, v in tensors.items() if k not in own}, tensors.source)
    state, sources, surplus = translate(rest, table, VECTORS)
    more, more_sources, more_surplus = translate(own, table, OWN_VECTORS)
    for key in [key for key in more if key.endswith(SN_FIELDS[1])]:
        _evaluated(more, key.removesuffix(f".{SN_FIELDS[1]}"))
    for key in list(more):
        more_sources.setdefault(key, more_sources.get(key.removesuffix("v") + "u", key))
    normalized = any(name.endswith(("weight_u", "sn_u")) for name in tensors)
    torchs, theirs = back(table, VECTORS), back(table, OWN_VECTORS)
    return Network(
        component,
        options,
        {**state, **more},
        lambda key: theirs(key) if theirs(key).rpartition(".")[0] in modules else torchs(key),
        normalized=normalized,
        stored=normalized,
        sources={**sources, **more_sources},
        surplus=[*surplus, *more_surplus],
    )


def _evaluated(state: dict[str, Tensor], module: str) -> None:
    """mimicry's own spectral norm makes an iteration in evaluation, torch's none: store what it finds.

    σ = ‖W v‖ for v = Wᵀu/‖Wᵀu‖. u has to stay, as training goes on from it, so v gets the length with which
    uᵀWv is σ.
    """
    if f"{module}.{SN_FIELDS[0]}" not in state:
        return
    matrix, u = state[f"{module}.{SN_FIELDS[0]}"].flatten(1), state[f"{module}.{SN_FIELDS[1]}"]
    if matrix.shape[0] == u.shape[0]:  # else refused later, by name
        back = matrix.t() @ u
        v = back / back.norm()
        state[f"{module}.{SN_FIELDS[2]}"] = v * ((matrix @ v).norm() / back.norm())


def _split_embeddings(network: Network) -> None:
    """Their gain is embedded as it is, ours around 1."""
    for key in [key for key in network.state if key.endswith(".embed.weight")]:
        gain, offset = network.state.pop(key).chunk(2, 1)
        source = network.sources.pop(key)
        for name, value in (("gain", gain - 1), ("offset", offset)):
            ours = key.replace(".embed.", f".{name}.")
            network.state[ours], network.sources[ours] = value, source


def _weight(tensors: Tensors, module: str) -> Tensor:
    normalized = any(f"{module}.{name}" in tensors for name in VECTORS.values())
    return tensors[f"{module}.{'weight_orig' if normalized else 'weight'}"]


def _place(tensors: Tensors, outputs: list[int], usual: int) -> int | None:
    """The block that attention follows: the one with as many channels as it has, or the usual one of several."""
    if not any(name.startswith("attn_block.") for name in tensors):
        return None
    channels = _weight(tensors, "attn_block.theta").shape[1]
    fitting = [i for i, output in enumerate(outputs) if output == channels]
    return usual if usual in fitting or not fitting else fitting[0]


def _attention(count: int) -> list[tuple[str, str]]:
    names = (("theta", "query"), ("phi", "key"), ("g", "value"), ("o", "output"))
    return [("attn_block", "attentions.@"), *((f"attn_block.{a}", f"attentions.@.{b}") for a, b in names)]


def _placed(pairs: list[tuple[str, str]], at: int | None) -> list[tuple[str, str]]:
    return [(theirs, ours.replace("@", str(at))) for theirs, ours in pairs]
