"""Singular values of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganlab.contracts.instrument import Instrument, Subject
from ganlab.core import randomness
from ganlab.core.errors import one_of, suggestion
from ganlab.layers import lanczos, state
from ganlab.layers.map_sizes import map_sizes
from ganlab.layers.operator_norm import OperatorNorm
from ganlab.layers.spectral_norm import ELIGIBLE, TRANSPOSED, SpectralNorm

VALUES = 3
MATRICES = ("kernel", "operator")
_SMALL = lanczos.BLOCK * (lanczos.DEPTH + 1)  # rows from which on the iteration has less work than all of them
_COLD = 3  # times that it is made from random vectors


@dataclass(frozen=True)
class Layer:
    """A layer whose weight is measured.

    Args:
        name: ``PLAYER/LAYER``, the layer by its path in the player's network.
        module: The layer.
        operator: The convolution as a map of feature maps; None: its kernel is a matrix.
    """

    name: str
    module: nn.Module
    operator: OperatorNorm | None = None

    def weights(self) -> tuple[Tensor, Tensor | None]:
        """Return the weight as it is stored, and as it is used, if that is another: normalized, or scaled."""
        module: Any = self.module
        used = module.tensors()[0] if hasattr(module, "tensors") else module.weight
        stored = module.weight
        if parametrize.is_parametrized(module, "weight"):
            stored = getattr(module.parametrizations.weight, "original", used)
        return stored.detach(), None if used is stored else used.detach()

    @property
    def is_normalized(self) -> bool:
        """Tell if the weight is divided by an estimate of its norm, and nothing else is done to it."""
        module: Any = self.module
        steps = list(module.parametrizations.weight) if parametrize.is_parametrized(module, "weight") else []
        return len(steps) == 1 and isinstance(steps[0], (SpectralNorm, OperatorNorm))

    @property
    def is_scaled(self) -> bool:
        """Tell if the weight as it is used is a multiple of the stored one."""
        return self.is_normalized or hasattr(self.module, "scale")


class Spectra(Instrument):
    """The three largest singular values of every weight, s0 >= s1 >= s2: of convolutions, linear maps and embeddings.

    sigma0 to sigma2            of the trained parameter W as a matrix (outputs, rest), transposed convolutions too;
                                BigGAN's s0, before spectral normalization
    used_sigma0 to used_sigma2  of the weight as a pass uses it, where that is another one: after spectral
                                normalization, or with an equalized learning rate
    estimate                    under spectral normalization: the norm that a pass divides by, to compare with sigma0

    They are logged as ``spectra/PLAYER/LAYER/sigma0``. A weight has as many as its smaller side.

    They come from a block Lanczos iteration (`ganlab.layers.lanczos`) that starts from the vectors of the time before,
    which checkpoints hold, with weights of one shape together; a weight whose smaller side is at most 54 is decomposed.
    Measured against `torch.linalg.svd` they are within 1e-3 of it from the first measurement on.

    Source: Brock et al. 2019 (arXiv:1809.11096), section 4.1 and figure 3: s0 of some layers of G grows without bound
    and explodes at collapse; s0 of D's layers grows throughout, noisily, and jumps at collapse. sigma of convolutions
    as operators: Sedghi et al. 2019 (arXiv:1805.10408).

    Args:
        players: Whose networks; null: all players'.
        convolutions: ``kernel``: convolutions as matrices; ``operator``: as maps from feature map to feature map, with
            stride and padding, on maps of the size that they are given in a pass over one image. That costs
            18 passes of a layer over 6 maps.

    Raises:
        ValueError: If an option is out of range.
    """

    cost = "nine products of six vectors with each weight and with its transpose, weights of one shape together"

    def __init__(self, players: tuple[str, ...] | None = None, convolutions: str = "kernel") -> None:
        one_of(convolutions, MATRICES, "convolutions")
        self.players, self.convolutions = players, convolutions
        self.layers: list[Layer] = []
        self._vectors: dict[str, Tensor] = {}

    def prepare(self, subject: Subject) -> None:
        known = subject.game.players
        for player in self.players or ():
            if player not in known:
                raise ValueError(f"the game has no player {player!r}.{suggestion(player, known)}")
        self.layers = [layer for player in self.players or known for layer in self._of(player, subject)]
        if not self.layers:
            raise ValueError("the players have no convolution, linear map or embedding")

    @torch.no_grad()
    def measure(self, subject: Subject) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        maps: dict[str, tuple[Layer, Tensor]] = {}
        scaled: dict[str, Tensor] = {}  # the weight as it is used, over the stored one
        with _as_in_training(layer.module for layer in self.layers):
            for layer in self.layers:
                stored, used = layer.weights()
                maps[f"{layer.name}/sigma"] = layer, stored
                if used is None:
                    continue
                if layer.is_scaled:
                    scaled[layer.name] = (used.norm() / stored.norm()).float()
                else:
                    maps[f"{layer.name}/used_sigma"] = layer, used
                if layer.is_normalized:
                    found[f"{layer.name}/estimate"] = 1 / scaled[layer.name]
        for names, there, back, size in _grouped(maps):
            start, rounds = self._start(names, size, subject)
            for _ in range(rounds):
                values, start = lanczos.top_values(there, back, start, min(start.shape[-1], VALUES))
            if size > _SMALL:
                self._vectors.update(zip(names, start.unbind(), strict=True))
            for name, row in zip(names, values.float().unbind(), strict=True):
                found.update({f"{name}{number}": value for number, value in enumerate(row.unbind())})
                if (where := maps[name][0].name) in scaled:
                    used_row = (scaled[where] * row).unbind()
                    found.update({f"{where}/used_sigma{number}": value for number, value in enumerate(used_row)})
        return dict(sorted(found.items()))

    def state_dict(self) -> dict[str, Any]:
        return {"vectors": dict(self._vectors)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        vectors = state.get("vectors")
        for name, vector in vectors.items() if isinstance(vectors, Mapping) else ():
            if isinstance(vector, Tensor) and vector.is_floating_point() and bool(vector.isfinite().all()):
                self._vectors[name] = vector

    def _of(self, player: str, subject: Subject) -> Iterator[Layer]:
        for name, network in subject.game.players[player].modules.items():
            operator = self.convolutions == "operator" and (
                hasattr(network, "latent_dim") or hasattr(network, "image_shape")
            )
            sizes = map_sizes(network, "watch=spectra") if operator else {}
            for path, module in network.named_modules():
                if isinstance(module, ELIGIBLE):
                    where = ".".join(filter(None, ["" if name == player else name, path])) or name
                    yield Layer(f"{player}/{where}", module, _operator(module, sizes.get(module)))

    def _start(self, names: Sequence[str], size: int, subject: Subject) -> tuple[Tensor, int]:
        """Return vectors for maps of an input of ``size`` numbers, and how often to iterate from them."""
        like = next(subject.game.parameters())
        if size <= _SMALL:
            return torch.eye(size, dtype=like.dtype, device=like.device).expand(len(names), -1, -1), 1
        shape, rounds, starts = (size, lanczos.BLOCK), 1, []
        for name in names:
            start = self._vectors.get(name)
            if start is None or start.shape != shape:
                start, rounds = (
                    randomness.sample(randomness.generator("cpu", subject.seed, "spectra", name), shape),
                    _COLD,
                )
            starts.append(start.to(like))
        return torch.stack(starts), rounds


@contextmanager
def _as_in_training(modules: Any) -> Iterator[None]:
    """Compute parametrized weights as a pass in training does, without moving any state."""
    steps = [
        step for module in modules if parametrize.is_parametrized(module) for step in module.parametrizations.modules()
    ]
    modes = [step.training for step in steps]
    for step in steps:
        step.training = True
    try:
        with state.passing(moves=False):
            yield
    finally:
        for step, mode in zip(steps, modes, strict=True):
            step.training = mode


def _operator(module: nn.Module, size: Sequence[int] | None) -> OperatorNorm | None:
    if size is None or all(side == 1 for side in module.kernel_size):  # type: ignore[union-attr]
        return None
    with torch.random.fork_rng(devices=[]):  # it draws a vector, which is not used
        return OperatorNorm(module, size)


def _grouped(maps: Mapping[str, tuple[Layer, Tensor]]) -> Iterator[tuple[list[str], Any, Any, int]]:
    """Yield names of maps of one shape, what applies all of them, what applies their transposes, and the columns."""
    groups: dict[tuple[int, ...], dict[str, Tensor]] = {}
    for name, (layer, weight) in maps.items():
        if layer.operator is not None:
            yield [name], *_of_operator(layer.operator, weight)
            continue
        weight = weight.transpose(0, 1) if isinstance(layer.module, TRANSPOSED) else weight
        matrix = weight.reshape(len(weight), -1)
        matrix = matrix if len(matrix) <= matrix.shape[1] else matrix.mT
        groups.setdefault(tuple(matrix.shape), {})[name] = matrix
    for shape, named in groups.items():
        matrices = torch.stack(list(named.values()))
        yield list(named), matrices.mT.__matmul__, matrices.__matmul__, shape[0]


def _of_operator(operator: OperatorNorm, weight: Tensor) -> tuple[Any, Any, int]:
    inner = outer = operator.v.shape[1:]

    def there(columns: Tensor) -> Tensor:  # (1, C·H·W, k)
        nonlocal outer
        images = operator.apply_to(columns[0].mT.reshape(-1, *inner), weight)
        outer = images.shape[1:]
        return images.reshape(len(images), -1).mT[None]

    def back(columns: Tensor) -> Tensor:
        return (
            operator.apply_adjoint_to(columns[0].mT.reshape(-1, *outer), weight).reshape(columns.shape[-1], -1).mT[None]
        )

    return there, back, inner.numel()
