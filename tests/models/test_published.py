"""Our networks against what published code made of the same weights and inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from published import CASES, build, converge, inputs, outputs

FIXTURES = Path(__file__).parent / "fixtures"
STORED_IN_EVALUATION = ("sngan_", "cgan_pd_", "sagan_", "wgan_gp_")  # mimicry's, see make_mimicry.py


@pytest.mark.parametrize(
    ("layout", "precision", "tolerance"),
    [
        (torch.contiguous_format, torch.float32, 1e-5),
        # torch sums batch statistics plainly in this layout: 1.7e-5 for 49,152 values of mean 5σ, against 2e-7
        (torch.channels_last, torch.float32, 5e-5),
        (torch.contiguous_format, torch.float64, 2e-7),  # the fixtures are stored in single precision
    ],
    ids=["contiguous", "channels_last", "double"],
)
@pytest.mark.parametrize("case", CASES)
def test_outputs_and_state_equal_the_published_codes(
    case: str, layout: torch.memory_format, precision: torch.dtype, tolerance: float
) -> None:
    """Three passes in training mode, the state after them, and evaluation: ‖a − b‖ ≤ 1e-5 ‖b‖ for each."""
    expected = np.load(FIXTURES / f"{case}.npz")
    networks = [network.to(precision, memory_format=layout) for network in build(case)]
    found = outputs(case, *networks, converge if case.startswith(STORED_IN_EVALUATION) else None)
    compared = 0
    for name, value in found.items():
        if name not in expected:
            continue
        want = torch.from_numpy(expected[name])
        got = value.contiguous().flatten()[::31] if value.ndim == 4 else value
        error = float((got - want).norm() / want.norm())
        assert error <= tolerance, f"{name}: {error:.1e}"
        compared += 1
    assert compared == len(expected.files) - 1  # all but the source


@pytest.mark.parametrize("case", ["biggan_32", "sagan_32"])
def test_every_tensor_of_the_state_matters(case: str) -> None:
    """Changing any one tensor changes the output: none is compared without being used."""
    for network, role in zip(build(case), ("G", "D"), strict=True):
        before = _evaluated(case, role, network)
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point() or (tensor.numel() == 1 and name.endswith(".u")):
                continue  # a counter; the vector of one output is ±1
            kept = tensor.clone()
            with torch.no_grad():
                tensor.add_(torch.linspace(-0.5, 0.7, tensor.numel()).view(tensor.shape))
            assert not torch.allclose(_evaluated(case, role, network), before, rtol=0, atol=1e-7), name
            with torch.no_grad():
                tensor.copy_(kept)


def _evaluated(case: str, role: str, network: torch.nn.Module) -> torch.Tensor:
    generator = network if role == "G" else build(case)[0]
    z, x, y = inputs(case, 0, generator)
    with torch.no_grad():
        return network.eval()(z if role == "G" else x, y)
