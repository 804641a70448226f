"""The networks of R1, VDB, IntroVAE and MEG against the authors' code, and their numbers of parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from energies import NETWORKS, build, outputs
from torch import nn

from ganlab.models import gan_stability, introvae, meg

EXPECTED = Path(__file__).parent / "fixtures" / "energies.npz"


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_gradients_equal_the_authors_code(name: str) -> None:
    """In training mode twice, so that statistics move, then in evaluation."""
    network = build(name)
    expected = np.load(EXPECTED)
    found = outputs(name, network, network.image_shape)
    assert len(found) == 6
    for key, value in found.items():
        want = torch.from_numpy(expected[f"{name}/{key}"])
        assert want.norm() > 0
        error = float((value - want).norm() / want.norm())
        assert error <= 1e-5, f"{key}: {error:.1e}"


HQ = {"width": 16, "largest_width": 512}
SMALL = {"width": 32, "largest_width": 256}
# the authors' numbers of parameters
COUNTS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "vgan generator": (lambda: gan_stability.Generator(32, 3, embedding_dim=1, **SMALL), 1_700_196),
    "vgan discriminator without its bottleneck": (
        lambda: gan_stability.Discriminator(32, 3, **SMALL), 779_361 - 2 * (256 * 256 + 256),
    ),
    "celebAHQ-1024 generator": (lambda: gan_stability.Generator(1024, 3, embedding_dim=1, **HQ), 18_810_036),
    "celebAHQ-1024 discriminator": (lambda: gan_stability.Discriminator(1024, 3, **HQ), 16_705_201),
    "IntroVAE 256 encoder": (lambda: introvae.Encoder(256), 22_711_456),
    "IntroVAE 256 decoder": (lambda: introvae.Generator(256), 16_190_819),
    "IntroVAE 1024 encoder": (lambda: introvae.Encoder(1024, width=16), 27_445_328),
    "IntroVAE 1024 decoder": (lambda: introvae.Generator(1024, width=16), 20_903_859),
    "MEG generator": (lambda: meg.Generator(32), 3_812_355),
    "MEG energy": (lambda: meg.Discriminator(32), 2_935_873),
    "MEG statistics network": (lambda: meg.Statistics(32), 4_108_481),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_the_networks_have_the_authors_number_of_parameters(name: str) -> None:
    make, count = COUNTS[name]
    with torch.device("meta"):
        network = make()
    assert sum(p.numel() for p in network.parameters()) == count
