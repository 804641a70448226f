"""The contract of generators and discriminators."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganlab.core import randomness
from ganlab.layers import state
from ganlab.testing.attributes import Attributes
from ganlab.testing.comparison import check_slope, close, require


@torch.random.fork_rng(devices=[])
def check_generator(generator: nn.Module, batch: int = 3) -> list[str]:
    """Check a generator: ``forward(z, y=None) -> images``, ``latent_dim``, ``num_classes``, ``image_shape``.

    Returns:
        Checks that do not apply, each with its reason.
    """
    for name in ("latent_dim", "num_classes", "image_shape"):
        require(hasattr(generator, name), f"a generator needs an attribute {name}")
    random = torch.Generator().manual_seed(0)
    z = torch.randn(batch, generator.latent_dim, generator=random)  # type: ignore[call-overload]
    classes = int(generator.num_classes)  # type: ignore[arg-type]
    y = torch.arange(batch) % classes if classes else None
    shape = (batch, *generator.image_shape)  # type: ignore[misc]
    skipped = _check_network(generator, (z, y), shape)
    network = copy.deepcopy(generator)
    network.eval()
    with torch.no_grad():
        together, again = network(z, y), network(z, y)
        if torch.equal(together, again):
            alone = network(z[1:2], None if y is None else y[1:2])
            close("an image made alone, in evaluation", alone, together[1:2], 1e-4)
        else:
            skipped.append("images made alone and together are not compared: the generator draws noise")
    if classes > 1:
        _check_labels(network, z, classes)
    return skipped


@torch.random.fork_rng(devices=[])
def check_discriminator(
    discriminator: nn.Module, image_shape: Sequence[int] | None = None, batch: int = 4
) -> list[str]:
    """Check a discriminator: ``forward`` is ``head`` of ``features``; logits (B,), differentiable twice.

    Args:
        discriminator: The network.
        image_shape: (C, H, W) of its images; by default its own attribute.
        batch: Images of a batch.

    Returns:
        Checks that do not apply, each with its reason.
    """
    shape = image_shape if image_shape is not None else getattr(discriminator, "image_shape", None)
    require(shape is not None, "say image_shape: the discriminator has no such attribute")
    classes = int(getattr(discriminator, "num_classes", 0))
    x = torch.rand(batch, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1  # type: ignore[misc]
    y = torch.arange(batch) % classes if classes else None
    skipped = _check_network(discriminator, (x, y), (batch,))
    network = copy.deepcopy(discriminator)
    with state.passing(moves=False):
        if hasattr(network, "head") and hasattr(network, "features"):
            features = network.features(x, y)  # type: ignore[operator]
            close("head(features(x, y), y) against forward", network.head(features, y), network(x, y), 1e-5)  # type: ignore[operator]
            channels = getattr(network, "feature_channels", None)
            found = features.shape[1]
            require(channels in (None, found), f"feature_channels is {channels}, but features have {found} channels")
        else:
            skipped.append("features and head are not compared with forward: the discriminator has none")
        if classes > 1:
            _check_labels(network, x, classes)
    network = copy.deepcopy(discriminator)
    with state.passing(moves=False):
        network.double()
        x = x.double().requires_grad_()

        def penalty() -> Tensor:
            (gradient,) = torch.autograd.grad(network(x, y).sum(), x, create_graph=True)
            return gradient.square().sum(tuple(range(1, gradient.ndim))).mean()

        check_slope("the squared norm of the input gradient", penalty, list(network.parameters()))
    return skipped


def _check_network(network: nn.Module, inputs: tuple[Tensor, Tensor | None], shape: Sequence[int]) -> list[str]:
    skipped = []
    x, y = inputs
    for dtype in (torch.float32, torch.float64):
        copied = copy.deepcopy(network)
        with state.passing(moves=False):
            given = x.to(dtype, copy=True).requires_grad_()
            output = copied.to(dtype)(given, y)
            name = type(network).__name__
            require(tuple(output.shape) == tuple(shape), f"{name} gave {tuple(output.shape)}, expected {tuple(shape)}")
            require(output.dtype == dtype, f"{name} must keep {dtype}, gave {output.dtype}")
            require(bool(output.isfinite().all()), f"{name} is not finite in {dtype}")
            weights = torch.linspace(0.5, 1.5, output.numel(), dtype=dtype).view_as(output)
            (output * weights).sum().backward()
            gradients = [given.grad, *(p.grad for p in copied.parameters() if p.grad is not None)]
            require(all(g is not None and bool(g.isfinite().all()) for g in gradients), f"{name}: gradients not finite")
            require(any(bool(g.any()) for g in gradients[1:]), f"{name}: no parameter gets a gradient")  # type: ignore[union-attr]
    copied = copy.deepcopy(network)
    with torch.no_grad():
        copied.train()
        attributes, before = Attributes(copied), {name: buffer.clone() for name, buffer in copied.named_buffers()}
        outputs = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            with randomness.using(randomness.Stream(0)), state.passing(moves=False):
                outputs.append(copied(x, y))
            found = torch.random.get_rng_state()
            torch.manual_seed(seed)
            require(
                torch.equal(found, torch.random.get_rng_state()), "a pass must not move torch's generator in a turn"
            )
        require(torch.equal(*outputs), "two passes with one key differ: draw through ganlab.core.randomness.noise")
        moved = [name for name, buffer in copied.named_buffers() if not torch.equal(buffer, before[name])]
        require(not moved, f"buffers moved although layers.state.moves() was false: {', '.join(moved)}")
        with randomness.using(randomness.Stream(0)), state.passing(moves=True):
            copied(x, y)
        changed = ", ".join(attributes.changed())
        require(not changed, f"a pass changes {changed}: state that moves belongs in buffers")
        other = copy.deepcopy(copied)
        for parameter in other.parameters():
            parameter.add_(1.0)
        other.load_state_dict(copied.state_dict())
        for each in (copied, other):
            each.eval()
        with randomness.using(randomness.Stream(0)):
            expected = copied(x, y)
        with randomness.using(randomness.Stream(0)):
            close("the output after a state-dict round trip", other(x, y), expected, 1e-6)
        if x.ndim == 4 or len(shape) == 4:
            copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            images = x.to(memory_format=torch.channels_last) if x.ndim == 4 else x
            with randomness.using(randomness.Stream(0)):
                close("the output in channels_last", copied(images, y), expected, 1e-4)
        else:
            skipped.append("memory formats are not compared: no four-dimensional images")
    return skipped


def _check_labels(network: nn.Module, x: Tensor, classes: int) -> None:
    """Outputs depend on labels once weights are not as at the start, where class tables are often equal."""
    copied = copy.deepcopy(network)
    with torch.no_grad(), state.passing(moves=False):
        copied.eval()
        for parameter in copied.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
        outputs = []
        for label in (0, 1):
            with randomness.using(randomness.Stream(0)):
                outputs.append(copied(x, torch.full((len(x),), label)))
        require(not torch.equal(*outputs), f"the output does not depend on which of the {classes} labels is given")
