"""Singular values of weights: decompositions, closed forms, and what regularizers do to them."""

from __future__ import annotations

import pytest
import torch
from support.instruments import Network, Parts, measured, subject
from torch import nn
from torch.nn.utils import parametrize
from torch.testing import assert_close

from ganlab.instruments.spectra import Spectra
from ganlab.layers.equalized import EqualizedLinear
from ganlab.layers.spectral_norm import attach
from ganlab.models.sngan import Generator


def diagonal(*values: float) -> nn.Linear:
    layer = nn.Linear(len(values), len(values))
    layer.weight.data = torch.diag(torch.tensor(values))
    return layer


def test_a_diagonal_layer_has_the_sizes_of_its_entries() -> None:
    game = Parts(generator=Network(diagonal(-3.0, 1.0, 2.0, 0.5)))
    assert measured(Spectra(), subject(game)) == pytest.approx(
        {f"generator/layers.0/sigma{number}": value for number, value in enumerate((3.0, 2.0, 1.0))}
    )


def test_matrices_are_outputs_by_the_rest_also_of_transposed_convolutions() -> None:
    """The one channel in and two channels out of a transposed convolution with a kernel of 1 x 2: (2, 1·2)."""
    transposed = nn.ConvTranspose2d(1, 2, (1, 2))
    transposed.weight.data = torch.tensor([[[[3.0, 0.0]], [[0.0, 4.0]]]])  # (in, out, h, w)
    convolution = nn.Conv2d(2, 1, (1, 2))
    convolution.weight.data = transposed.weight.data.clone()
    found = measured(Spectra(), subject(Parts(generator=Network(transposed), discriminator=Network(convolution))))
    assert found == pytest.approx(
        {"generator/layers.0/sigma0": 4.0, "generator/layers.0/sigma1": 3.0, "discriminator/layers.0/sigma0": 5.0}
    )


def test_values_are_within_a_thousandth_of_a_decomposition_at_each_measurement_though_weights_move() -> None:
    torch.manual_seed(0)
    game = Parts(generator=Generator(16, num_classes=3, latent_dim=70, width=16))
    instrument, of = Spectra(), subject(game)
    layers = {n: m for n, m in game.generator.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear, nn.Embedding))}  # type: ignore[union-attr,operator]
    assert any(min(len(m.weight), m.weight[0].numel()) > 54 for m in layers.values())  # that it must iterate for
    for _ in range(3):
        found = measured(instrument, of)
        for name, module in layers.items():
            true = torch.linalg.svdvals(module.weight.detach().flatten(1).double())[:3].tolist()
            mine = [found[f"generator/{name}/sigma{number}"] for number in range(len(true))]
            assert_close(mine, true, rtol=1e-3, atol=0)
        for module in layers.values():
            module.weight.data += 0.5 * module.weight.data.std() * torch.randn_like(module.weight)


def test_the_weight_as_it_is_used_is_measured_too() -> None:
    """diag(3, 4, 1) with the estimate u = (1, 0, 0) after an iteration: v = u, so σ̂ = 3, and the used one is /3."""
    normalized, scaled = diagonal(3.0, 4.0, 1.0), EqualizedLinear(3, 3, gain=1.0)
    [parametrization] = attach(normalized, evaluation="stored")
    parametrization[0].u.data = torch.tensor([1.0, 0.0, 0.0])  # type: ignore[union-attr]
    scaled.weight.data = torch.diag(torch.tensor([3.0, 3.0, 3.0]))
    game = Parts(discriminator=Network(normalized, scaled))
    before = {name: tensor.clone() for name, tensor in game.state_dict().items()}
    of = subject(game)
    found = measured(Spectra(), of)
    assert found == pytest.approx(
        {
            "discriminator/layers.0/estimate": 3.0,
            **{f"discriminator/layers.0/sigma{n}": value for n, value in enumerate((4.0, 3.0, 1.0))},
            **{f"discriminator/layers.0/used_sigma{n}": value / 3 for n, value in enumerate((4.0, 3.0, 1.0))},
            **{f"discriminator/layers.1/sigma{n}": 3.0 for n in range(3)},
            **{f"discriminator/layers.1/used_sigma{n}": 3.0 / 3**0.5 for n in range(3)},
        },
        rel=1e-4,
    )
    game.eval()
    assert measured(Spectra(), of) == found, "it is the weight of training, also when a checkpoint is measured"
    assert all(torch.equal(tensor, before[name]) for name, tensor in game.state_dict().items())


def test_another_parametrization_is_measured_too() -> None:
    class Double(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return torch.cat([2 * weight[:1], weight[1:]])

    layer = diagonal(3.0, 2.0)
    parametrize.register_parametrization(layer, "weight", Double())
    found = measured(Spectra(), subject(Parts(generator=Network(layer))))
    names = ("sigma0", "sigma1", "used_sigma0", "used_sigma1")
    assert [found[f"generator/layers.0/{name}"] for name in names] == pytest.approx([3, 2, 6, 2])


def test_the_norm_of_a_convolution_as_an_operator_is_the_largest_value_of_its_fourier_transform() -> None:
    """With circular padding they are the sizes of the kernel's Fourier transform (Sedghi et al. 2019)."""
    layer = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular", bias=False)
    game = Parts(discriminator=Network(layer, image_shape=(1, 8, 8)))
    torch.manual_seed(0)
    layer.weight.data.normal_()
    true = torch.fft.fft2(layer.weight.detach()[0, 0], (8, 8)).abs().flatten().sort(descending=True).values[:3]
    of, instrument = subject(game), Spectra(convolutions="operator")
    measured(instrument, of)
    found = measured(instrument, of)
    assert_close(torch.tensor([found[f"discriminator/layers.0/sigma{n}"] for n in range(3)]), true, rtol=1e-3, atol=0)


def test_its_vectors_are_its_state_and_odd_ones_are_left_out() -> None:
    torch.manual_seed(0)
    of = subject(Parts(generator=Network(nn.Linear(100, 80))))
    first, second = Spectra(), Spectra()
    measured(first, of)
    state = first.state_dict()
    assert list(state["vectors"]) == ["generator/layers.0/sigma"]
    second.load_state_dict(state)
    assert measured(second, of) == measured(first, of)
    vectors = [torch.full((80, 6), float("nan")), torch.zeros(7), torch.zeros(80, 6, dtype=torch.long), "x"]
    for vector in vectors:
        other = Spectra()
        other.load_state_dict({"vectors": {"generator/layers.0/sigma": vector}})
        assert measured(other, of) == pytest.approx(measured(Spectra(), of), rel=1e-3)
    Spectra().load_state_dict({"vectors": 3})


def test_it_refuses_players_and_maps_that_there_are_not() -> None:
    of = subject(Parts(generator=Network(nn.Linear(2, 2))))
    with pytest.raises(ValueError, match=r"no player 'genrator'\. Did you mean 'generator'"):
        Spectra(players=("genrator",)).prepare(of)
    with pytest.raises(ValueError, match="no convolution, linear map or embedding"):
        Spectra().prepare(subject(Parts(generator=Network(nn.Identity(), nn.BatchNorm1d(2)))))
    with pytest.raises(ValueError, match="convolutions must be one of kernel, operator"):
        Spectra(convolutions="fourier")


def test_the_clamp_and_the_penalty_are_seen_in_it() -> None:
    from ganlab.regularizers.singular_value import SingularValue

    game = Parts(generator=Network(diagonal(5.0, 2.0)))
    clamp = SingularValue(method="clamp", bound=3.0)
    clamp.attach(game)
    clamp.prepare(game)
    clamp.after_step("generator")
    found = measured(Spectra(), subject(game))
    assert found["generator/layers.0/sigma0"] == pytest.approx(3.0)
    weight = game.get_parameter("generator.layers.0.weight")
    weight.grad = torch.zeros_like(weight)
    penalty = SingularValue(method="penalty", bound=1.0, weight=0.5)
    penalty.attach(game)
    penalty.prepare(game)
    penalty.gradients("generator", [weight.grad])
    with torch.no_grad():
        weight.sub_(weight.grad)  # 3 - 2·0.5·(3 - 1) = 1, below the 2 of the other entry
    assert measured(Spectra(), subject(game))["generator/layers.0/sigma0"] == pytest.approx(2.0)
