"""Gradients of imported StyleGAN2 and R3GAN networks equal those of the official ones, second derivatives included."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from native import FIXTURES, fill, inputs, read
from others import slope, thinned_gradient
from torch import Tensor, nn

from ganlab import importers
from ganlab.core import registry
from ganlab.importers.network import Network, Tensors
from ganlab.layers.style_generator import StyleGenerator

FOLDER = Path(__file__).parent / "gradients"
CASES = sorted(path.stem for path in FOLDER.glob("*.npz"))


def network(about: dict[str, Any], file: str, tensors: Tensors) -> tuple[nn.Module, Network]:
    """Ours, with the tensors of a file."""
    chosen = importers.formats()[about["format"]]
    size, classes = about["size"], about["classes"]
    kind = "generator" if file == "G.pth" else "discriminator"
    read_ = chosen.generator(tensors) if kind == "generator" else chosen.discriminator(tensors, (size, 3, classes))
    options = {name: tuple(v) if isinstance(v, list) else v for name, v in read_.options.items()}
    options |= {w.partition("=")[0].partition(".")[2]: int(w.partition("=")[2]) for w in about.get("words", ())
                if w.startswith(f"{kind}.")}  # fmt: skip
    made = registry.load(kind, read_.component)(size, 3, classes, **options)
    made.load_state_dict({**made.state_dict(), **read_.state})
    return made, read_


def penalty(case: str, made: Any, z: Tensor, x: Tensor, y: Tensor | None) -> Tensor:
    """R1 without its factor; or the mean of (path length - 1)²."""
    if not isinstance(made, StyleGenerator):
        (gradient,) = torch.autograd.grad(made(x.requires_grad_(), y).sum(), x, create_graph=True)
        return gradient.square().sum((1, 2, 3)).mean()
    ws = made.styles(made.mapping(z, y))
    images = made.synthesis(ws, "fixed")
    product = slope(f"{case}/path", images) / (images.shape[2] * images.shape[3]) ** 0.5
    (gradient,) = torch.autograd.grad(product, ws, create_graph=True)
    return (gradient.square().sum(2).mean(1).sqrt() - 1).square().mean()


@pytest.mark.parametrize(("precision", "training"), [(torch.float32, True), (torch.float64, False)])
@pytest.mark.parametrize("case", CASES)
def test_gradients_by_all_parameters_equal_those_of_the_official_network(
    case: str, precision: torch.dtype, training: bool
) -> None:
    """Their gradients are read as a file of theirs would be, numbers that the fixture lacks being NaN, and compared.

    Over all parameters of a network within 1e-4 in single precision, and within 1e-6 in double. With the same noise the
    official networks compute the same in training mode.
    """
    about, tolerance = read(case), 1e-4 if precision is torch.float32 else 1e-6
    with np.load(FOLDER / f"{case}.npz", allow_pickle=False) as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files if key != "about"}
        parameters = json.loads(str(file["about"]))["parameters"]
    assert (FIXTURES / f"{case}.npz").exists()
    for name, shapes in about["files"].items():
        state = fill(f"{case}/{name}", shapes)
        made, _ = network(about, name, Tensors(state, name))
        made = copy.deepcopy(made).to(precision).train(training).requires_grad_(True)
        z, x, y = inputs(case, about["latent_dim"], about["size"], about["classes"])
        z, x = z.to(precision), x.to(precision)
        fixed = {"noise": "fixed"} if isinstance(made, StyleGenerator) else {}
        for kind in ("slope", "penalty"):
            if f"{name}/{kind}" not in arrays:
                continue
            output = made(z if name == "G.pth" else x, y, **fixed)
            value = slope(f"{case}/{name}", output) if kind == "slope" else penalty(case, made, z, x, y)
            made.zero_grad()
            value.backward()
            expected = network_of_gradients(about, name, state, parameters[name], arrays[f"{name}/{kind}"])
            found, wanted = [], []
            for own, parameter in made.named_parameters():
                known = ~expected[own].isnan()
                assert known.any()
                gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                found.append(gradient[known])
                wanted.append(expected[own][known].to(precision))
            difference = torch.cat(found) - torch.cat(wanted)
            assert float(difference.norm() / torch.cat(wanted).norm()) <= tolerance, (name, kind)


def network_of_gradients(
    about: dict[str, Any], name: str, state: dict[str, Tensor], parameters: list[str], numbers: Tensor
) -> dict[str, Tensor]:
    """Their gradients by our names and in our shapes; NaN where the fixture has none."""
    gradients: dict[str, Tensor] = {}
    for parameter in parameters:
        value = torch.full(state[parameter].shape, torch.nan)
        kept = value.view(-1)[:: value.numel() // 10 | 1]
        assert len(kept) == len(thinned_gradient(value))
        kept.copy_(numbers[: len(kept)])
        numbers = numbers[len(kept) :]
        gradients[parameter] = value
    assert not len(numbers)
    return network(about, name, Tensors({**state, **gradients}, name))[1].state
