"""State dicts of BigGAN-PyTorch: BigGAN and BigGAN-deep, both kinds of batch norm; also its SNGAN and SAGAN.

Their tensors do not say ε of batch norm (1e-5 in all scripts) and of spectral norm (1e-6 in the ImageNet
scripts, 1e-8 in the others): say ``generator.norm_eps=`` and ``reg.sn.eps=`` if yours differ.
"""

from __future__ import annotations

import re

from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.importers.network import Network, Table, Tensors, back, one_or_several, side, stages, translate
from ganlab.models.biggan import FEWEST_DOUBLINGS, discriminator_multiples, generator_multiples

NAME = "biggan_pytorch"
SN_EPS = 1e-6

VECTORS = {"weight": "weight", "u": "u0"}
ATTENTION = [
    (f"blocks.{{i}}.1.{theirs}", f"attentions.{{i}}.{ours}")
    for theirs, ours in (("theta", "query"), ("phi", "key"), ("g", "value"), ("o", "output"))
]
SHARED = [
    ("blocks.{i}.0.conv{k}", "blocks.{i}.conv{k}"),
    ("blocks.{i}.0.conv_sc", "blocks.{i}.shortcut"),
    ("blocks.{i}.1", "attentions.{i}"),
    *ATTENTION,
]
GENERATOR = [
    *SHARED,
    ("shared", "embedding"),
    ("linear", "linear"),
    ("blocks.{i}.0.bn{k}.gain", "blocks.{i}.norm{k}.gain"),
    ("blocks.{i}.0.bn{k}.bias", "blocks.{i}.norm{k}.offset"),
    ("output_layer.2", "output"),
]
PLAIN = [("blocks.{i}.0.bn{k}", "blocks.{i}.norm{k}"), ("output_layer.0", "output_norm")]
OWN = [("blocks.{i}.0.bn{k}.bn", "blocks.{i}.norm{k}"), ("output_layer.0.bn", "output_norm"), PLAIN[1]]  # --mybn
DISCRIMINATOR = [*SHARED, ("input_conv", "input"), ("linear", "head.linear"), ("embed", "head.embedding")]
STATISTICS = {"stored_mean": "running_mean", "stored_var": "running_var", "gain": "weight"}


def role(tensors: dict[str, Tensor]) -> str | None:
    if "output_layer.0.gain" in tensors or "output_layer.2.weight" in tensors:
        return "generator"
    if "linear.weight" in tensors and any(re.match(r"blocks\.\d+\.\d+\.conv1\.weight", name) for name in tensors):
        return "discriminator"
    return None


def generator(tensors: Tensors) -> Network:
    biased = any(name.endswith(".bn.stored_mean") for name in tensors)
    table = Table([*GENERATOR, *(OWN if biased else PLAIN)], STATISTICS)
    state, sources, surplus = translate(tensors, table, VECTORS)
    blocks = tensors.count(r"blocks\.(\d+)\.0\.")
    deep = any(name.startswith("blocks.0.0.conv4.") for name in tensors)
    last = "conv4" if deep else "conv2"
    channels = [
        (tensors[f"blocks.{i}.0.conv1.weight"].shape[1], tensors[f"blocks.{i}.0.{last}.weight"].shape[0])
        for i in range(blocks)
    ]
    out = tensors["output_layer.0.gain"].shape[0]
    if deep:
        count, depth, width = stages(channels, generator_multiples, out, tensors.source)
    else:
        count, depth, width = blocks, 1, out // generator_multiples(blocks)[-1]
    rows, inputs = tensors["linear.weight"].shape
    base = side(rows // channels[0][0], "linear.weight")
    shared = tensors["shared.weight"].shape if "shared.weight" in tensors else None
    condition = tensors["blocks.0.0.bn1.gain.weight"].shape
    places = [base * 2 ** (i // depth + 1) for i in tensors.places(r"blocks\.(\d+)\.1\.theta")]
    options: dict[str, object] = {"width": width, "attention": one_or_several(places)}
    if biased:
        options["stored_variance"] = "biased"
    if deep:
        if shared is None:
            raise GanlabError(f"{tensors.source} has no tensor 'shared.weight': a BigGAN-deep without it is not known.")
        options.update(latent_dim=inputs - shared[1], depth=depth, shared_dim=shared[1])
        classes = shared[0]
    elif shared is not None:
        hierarchical = condition[1] != shared[1]
        options.update(latent_dim=inputs * (count + 1) if hierarchical else inputs, shared_dim=shared[1])
        options["hierarchical"] = hierarchical
        classes = shared[0]
    else:
        options.update(latent_dim=inputs, hierarchical=False, shared_embedding=False)
        classes = condition[0]
    return Network(
        "biggan_deep" if deep else "biggan",
        options,
        state,
        back(table, VECTORS),
        normalized="linear.u0" in tensors,
        image=(base * 2**count, tensors["output_layer.2.weight"].shape[0], classes),
        sources=sources,
        surplus=surplus,
    )


def discriminator(tensors: Tensors, image: tuple[int, int, int]) -> Network:
    deep = "input_conv.weight" in tensors
    depth = tensors.count(r"blocks\.0\.(\d+)\.conv1\.") if deep else 1
    if deep:
        tensors = Tensors({_flat(name, depth): value for name, value in tensors.items()}, tensors.source)
    table = Table(DISCRIMINATOR)
    state, sources, surplus = translate(tensors, table, VECTORS)
    blocks = tensors.count(r"blocks\.(\d+)\.0\.")
    count = blocks // depth if deep else blocks - 1
    halvings = count - 1 if count <= FEWEST_DOUBLINGS else count
    places = [image[0] >> min(i // depth + 1, halvings) for i in tensors.places(r"blocks\.(\d+)\.1\.theta")]
    named = back(table, VECTORS)
    component, options = "biggan", {"attention": one_or_several(places)}
    if deep:
        component = "biggan_deep"
        options.update(width=tensors["input_conv.weight"].shape[0] // discriminator_multiples(count)[0], depth=depth)
    elif _thin(tensors):
        if places:
            raise GanlabError(
                f"{tensors.source} has attention and thin blocks (D_thin), which no network of ganlab has."
            )
        component, options = "sngan", {"width": tensors["blocks.0.0.conv2.weight"].shape[0], "thin_first": True}
    else:
        multiple = discriminator_multiples(count)[0]
        options["width"] = tensors["blocks.0.0.conv2.weight"].shape[0] // multiple
    return Network(
        component,
        options,
        state,
        (lambda key: _nested(named(key), depth)) if deep else named,
        normalized="linear.u0" in tensors,
        sources={key: _nested(name, depth) for key, name in sources.items()} if deep else sources,
        surplus=[_nested(name, depth) for name in surplus] if deep else surplus,
    )


def _thin(tensors: Tensors) -> bool:
    """Tell if the first convolution of a block keeps the channels and the second one changes them."""
    first, second = (tensors[f"blocks.1.0.{name}.weight"].shape[0] for name in ("conv1", "conv2"))
    return first != second


def _flat(name: str, depth: int) -> str:
    """BigGAN-deep's discriminator counts stages and blocks within; attention comes after a stage's blocks."""
    match = re.match(r"blocks\.(\d+)\.(\d+)\.(.*)$", name)
    if match is None:
        return name
    stage, index = int(match[1]), int(match[2])
    return f"blocks.{stage * depth + min(index, depth - 1)}.{int(index == depth)}.{match[3]}"


def _nested(name: str, depth: int) -> str:
    match = re.match(r"blocks\.(\d+)\.([01])\.(.*)$", name)
    if match is None:
        return name
    stage, index = divmod(int(match[1]), depth)
    return f"blocks.{stage}.{depth if match[2] == '1' else index}.{match[3]}"
