"""Initial weights."""

from __future__ import annotations

from torch import nn

from ganlab.core.errors import one_of

SCHEMES = {
    "orthogonal": nn.init.orthogonal_,  # Saxe et al. 2014 (arXiv:1312.6120); BigGAN's choice
    "normal": lambda weight: nn.init.normal_(weight, 0.0, 0.02),  # DCGAN's N(0, 0.02)
    "xavier": nn.init.xavier_uniform_,  # Glorot & Bengio 2010; SNGAN's and SAGAN's choice
}
WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)


def initialize(network: nn.Module, scheme: str) -> None:
    """Fill the weight of every convolution, linear map and embedding; biases keep torch's default.

    Args:
        network: Filled in place.
        scheme: ``orthogonal``, ``normal`` (N(0, 0.02)) or ``xavier`` (uniform, gain 1).

    Raises:
        ValueError: If the scheme is unknown.
    """
    one_of(scheme, SCHEMES, "initialization")
    for module in network.modules():
        # On the meta device there is nothing to fill, and an orthogonal matrix takes long to make.
        if isinstance(module, WEIGHTED) and not module.weight.is_meta:
            SCHEMES[scheme](module.weight)
