"""Theory: verdicts from the Jacobian of a game at its equilibrium."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganlab.dynamics import maps, trajectories
from ganlab.dynamics.field import Field
from ganlab.dynamics.verdicts import CONVERGES, CYCLES, DIVERGES, SUBLINEAR, UNDECIDED, Verdict

_AT_REST = 1e-9  # of |v|
_ONE = 1e-8  # of a modulus that is 1
_REACH = 1e-4  # of the steps by which smoothness is looked for
_ROUGH = 0.01  # of the change of v over such a step, which is not linear
_NOTHING = 1e-7  # of a coefficient of third order
_RADIUS, _ANGLES = 1e-3, 24  # at which those are taken
_LINEAR = 0.1  # distance up to three times which a map is linear that is called so
_OVERFLOW = "the numbers of one iteration are too large for float64, so it has no eigenvalues: take smaller steps"


@dataclass(frozen=True)
class Theory:
    """The linearisation of a game at its equilibrium, as far as it has one.

    Args:
        verdict: By the discrete map.
        jacobian: dv/dw (P, P); None where v has no derivative.
        flow: Eigenvalues (P,) of dw/dt = -R v, see `maps.flow`, complex.
        map: Eigenvalues of one iteration on weights, momenta and last steps; None where the optimizer has no linear
            map, or its numbers leave float64. With turns in every k-th iteration alone they are k-th roots of those of
            k iterations.
        exact: The derivatives are by automatic differentiation.
        of_flow: A sentence about the flow.
    """

    verdict: Verdict
    jacobian: Tensor | None
    flow: Tensor | None
    map: Tensor | None
    exact: bool
    of_flow: str


def theory(field: Field) -> Theory:
    """Return the linearisation of a game and the verdict that follows from it."""
    rest = field.play.problem.rest
    rough = roughness(field)
    if rough is not None:
        return Theory(Verdict(UNDECIDED, rough), None, None, None, field.exact, "it has no linearisation")
    jacobian, of_players = field.jacobian(rest), maps.rates(field)
    continuous = maps.flow(field, of_players)
    if not continuous.isfinite().all():
        return Theory(Verdict(UNDECIDED, _OVERFLOW), jacobian, None, None, field.exact, "it has no linearisation")
    flow = torch.linalg.eigvals(continuous)
    if of_players is None:
        names = sorted({type(each).__name__ for each in field.play.optimizers.by_player.values()})
        reason = f"{' and '.join(names)} divides by the size of gradients, so its map has no Jacobian at rest"
        return Theory(Verdict(UNDECIDED, reason), jacobian, flow, None, field.exact, _of_flow(flow))
    matrix, count = maps.iteration(field, of_players)
    if not matrix.isfinite().all():
        return Theory(Verdict(UNDECIDED, _OVERFLOW), jacobian, flow, None, field.exact, _of_flow(flow))
    values = torch.linalg.eigvals(matrix)
    values = torch.polar(values.abs() ** (1 / count), values.angle() / count)
    values = values[torch.argsort(values.abs(), descending=True, stable=True)]
    verdict = _of_map(field, matrix, values, count)
    if verdict.word == DIVERGES and float(flow.real.max()) < -_ONE and _follows_flow(field, of_players):
        verdict = Verdict(DIVERGES, f"{verdict.reason}; smaller steps converge, as the flow does", verdict.rate)
    if field.play.hooks.after_step and verdict.decided:
        verdict = Verdict(verdict.word, f"{verdict.reason}; it holds where weights are not constrained", verdict.rate)
    return Theory(verdict, jacobian, flow, values, field.exact, _of_flow(flow))


def roughness(field: Field) -> str | None:
    """Return a sentence if v does not vanish at the equilibrium or has no derivative there, or None."""
    rest = field.play.problem.rest
    at = field(rest[None])[0]
    if not at.isfinite().all():
        return "the vector field is not finite at the equilibrium, so it has no eigenvalues"
    if at.norm() > _AT_REST:
        return f"the weights of the equilibrium are no point of rest: |v| = {at.norm():.4g} there"
    eye = torch.eye(len(rest), dtype=torch.float64)
    ways = torch.cat([eye, (eye.sum(0) - 2 * eye[:1]) / math.sqrt(len(rest))])
    ahead, back = field(rest + _REACH * ways), field(rest - _REACH * ways)
    linear = _REACH * ways @ field.jacobian(rest).mT
    scale = _REACH + linear.norm(dim=1).max()
    if not (linear.isfinite().all() and ahead.isfinite().all() and back.isfinite().all()):
        return "the vector field is not finite near the equilibrium, so it has no eigenvalues"
    error = torch.cat([ahead - linear, back + linear]).norm(dim=1).max()
    if error > _ROUGH * scale:
        return (
            f"the vector field is not smooth at the equilibrium: over steps of {_REACH:g} it changes by "
            f"{torch.cat([ahead, back]).norm(dim=1).max():.3g}, so eigenvalues have no say"
        )
    return None


def _of_flow(values: Tensor) -> str:
    largest = float(values.real.max())
    if largest < -_ONE:
        return f"the flow converges, as all real parts are negative (the largest is {largest:.6g})"
    if largest > _ONE:
        return f"the flow leaves, as a real part is positive ({largest:.6g})"
    return "the flow is not decided by its linearisation, as a real part is 0"


def _of_map(field: Field, matrix: Tensor, values: Tensor, count: int) -> Verdict:
    largest = float(values[0].abs())
    if largest < 1 - _ONE:
        return Verdict(CONVERGES, f"all eigenvalues of the map have a modulus of at most {largest:.6g} < 1", largest)
    if largest > 1 + _ONE:
        return Verdict(DIVERGES, f"an eigenvalue of the map has the modulus {largest:.6g} > 1", largest)
    same = "an eigenvalue of the map has the modulus 1, so the linearisation is inconclusive"
    coefficient = third_order(field, matrix) if count == 1 else None
    if coefficient is None:
        return Verdict(UNDECIDED, same)
    if abs(coefficient) > _NOTHING:
        word = SUBLINEAR if coefficient < 0 else DIVERGES
        return Verdict(word, f"{same}; to third order a radius r changes by {coefficient:.4g} r³ an iteration")
    if _is_linear(field):
        return Verdict(CYCLES, "the map is linear nearby, and an eigenvalue has the modulus 1: it turns for ever")
    if _is_kept(field):
        return Verdict(CYCLES, f"{same}; the flow keeps the distance, and so does the map to third order")
    return Verdict(UNDECIDED, f"{same}, and the third order too")


def third_order(field: Field, matrix: Tensor) -> float | None:
    """Return a of r <- r + a r³, the mean over a turn, for a map of the plane that turns; None for other maps.

    In the coordinate z of the eigenvector, z <- λz + c z|z|² + ..., and a = Re(c / λ) if the map is odd and λ is no
    root of unity up to the fourth (Kuznetsov 2004, Elements of Applied Bifurcation Theory, section 4.7). r is the mean
    radius of the ellipse on which the linear map turns.
    """
    rest = field.play.problem.rest
    plain = field.play.game.update in ("alternating", "simultaneous")
    momentum = any(r.momentum for r in (maps.rates(field) or {}).values())
    if len(rest) != 2 or not plain or momentum:
        return None
    values, vectors = torch.linalg.eig(matrix[:2, :2])
    turning = values[0]
    if turning.imag.abs() < _ONE or any(abs(complex(turning) ** n - 1) < _ONE for n in (1, 2, 3, 4)):
        return None
    vector = vectors[:, 0] / vectors[:, 0].norm() / math.sqrt(2)
    dual = torch.linalg.inv(torch.stack([vector, vector.conj()], 1))[0]

    def mean(radius: float) -> Tensor:
        turns = torch.arange(_ANGLES, dtype=torch.float64) * (2 * math.pi / _ANGLES)
        phase = torch.polar(torch.ones_like(turns), turns)
        at = rest + 2 * radius * (phase[:, None] * vector).real
        after = trajectories.simulate(field, at, 1)[1] - rest
        odd = after[: _ANGLES // 2] + after[_ANGLES // 2 :]
        if odd.norm(dim=1).max() > 1e-9 * radius:
            return torch.tensor(math.nan)
        return ((after.to(vector) @ dual) * phase.conj()).mean() / radius / turning

    big, small = mean(_RADIUS), mean(_RADIUS / 2)
    if not (big.isfinite() and small.isfinite()):
        return None
    fine, coarse = (small.real - 1) / (_RADIUS / 2) ** 2, (big.real - 1) / _RADIUS**2
    return float((4 * fine - coarse) / 3)  # without the fifth order


def _is_kept(field: Field) -> bool:
    """Tell if (w - w*)·v(w) is 0 at some points of all directions: the flow keeps the distance to w*."""
    turns = torch.arange(_ANGLES, dtype=torch.float64) * (2 * math.pi / _ANGLES)
    offsets = torch.stack([turns.cos(), turns.sin()], 1)
    return all(
        bool(((offset * field(field.play.problem.rest + offset)).sum(1).abs() < 1e-9).all())
        for offset in (0.1 * offsets, offsets)
    )


def _is_linear(field: Field) -> bool:
    """Tell if an iteration is linear in a neighbourhood of the equilibrium, along the axes and between them."""
    rest = field.play.problem.rest
    offsets = _LINEAR * torch.cat([torch.eye(len(rest)), torch.ones(1, len(rest))]).double()
    once = trajectories.simulate(field, rest + offsets, 1)[1] - rest
    thrice = trajectories.simulate(field, rest + 3 * offsets, 1)[1] - rest
    return bool(torch.allclose(3 * once, thrice, rtol=0, atol=1e-12))


def _follows_flow(field: Field, of_players: dict[str, maps.Rates]) -> bool:
    """Tell if iterations of small steps follow the flow: momenta die away by themselves, and no turn is repeated."""
    once = all(slot.turn.repeat == 1 for slot in field.play.slots())
    return once and all(abs(each.momentum) < 1 for each in of_players.values())
