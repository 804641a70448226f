"""Findings about a game as lines of a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from ganlab.dynamics import verdicts
from ganlab.dynamics.laboratory import Findings
from ganlab.dynamics.verdicts import Verdict


def about(found: Findings) -> Iterator[str]:
    """Yield the lines; the last one is ``verdict: W``."""
    field, theory = found.field, found.theory
    problem = field.play.problem
    yield f"problem: {problem.name}: {problem.about}"
    yield f"equilibrium: {', '.join(f'{n} = {x:g}' for n, x in zip(problem.weights, problem.equilibrium, strict=True))}"
    if theory.flow is not None:
        how = "automatic differentiation" if theory.exact else "central differences, as a gradient has no graph"
        yield f"eigenvalues of the flow, by {how}: {values(theory.flow)}: {theory.of_flow}"
    if theory.map is not None:
        yield f"eigenvalues of the map of one iteration: {values(theory.map)}"
    yield f"theory: {said(theory.verdict)}"
    yield f"simulation: {said(found.simulation)}"
    if (difference := verdicts.disagreement(theory.verdict, found.simulation)) is not None:
        yield f"They differ: {difference}."
    if found.verdict.rate is not None:
        yield f"rate: {found.verdict.rate:.8g} an iteration"
    yield f"verdict: {found.verdict.word}"


def said(verdict: Verdict) -> str:
    """Return a verdict and its reason."""
    return f"{verdict.word}: {verdict.reason}"


def values(numbers: Tensor) -> str:
    """Return complex numbers as ``-0.5 ± 0.87i``, each pair once."""
    parts = []
    for number in numbers.tolist():
        real, imaginary = _zero(number.real), _zero(number.imag)
        if imaginary < 0:
            continue
        parts.append(f"{real:.6g}" if imaginary == 0 else f"{real:.6g} ± {imaginary:.6g}i")
    return ", ".join(parts)


def _zero(x: float) -> float:
    return 0.0 if abs(x) < 1e-12 else x
