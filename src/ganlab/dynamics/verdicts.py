"""Verdicts on a game: what becomes of its trajectories, with the reason."""

from __future__ import annotations

from dataclasses import dataclass

CONVERGES = "converges"
SUBLINEAR = "converges sublinearly"
CYCLES = "cycles"
DIVERGES = "diverges"
UNDECIDED = "undecided"
WORDS = (CONVERGES, SUBLINEAR, CYCLES, DIVERGES, UNDECIDED)


@dataclass(frozen=True)
class Verdict:
    """A verdict about the equilibrium, by theory or by simulation.

    Args:
        word: One of `WORDS`. ``converges``: trajectories from near it come closer by a factor below 1 in each
            iteration; ``converges sublinearly``: they come closer like a power of the number of iterations;
            ``cycles``: they stay away from it, within bounds and in motion; ``diverges``: from near it they leave,
            wherever they end; ``undecided``: this way of judging has no say.
        reason: One sentence without a full stop.
        rate: The factor an iteration, if there is one.
    """

    word: str
    reason: str
    rate: float | None = None

    @property
    def decided(self) -> bool:
        """Tell if it says anything."""
        return self.word != UNDECIDED


def together(theory: Verdict, simulation: Verdict) -> Verdict:
    """Return the verdict of both: theory's where it has one, and the simulation's elsewhere."""
    return theory if theory.decided else simulation


def disagreement(theory: Verdict, simulation: Verdict) -> str | None:
    """Return a sentence if theory and simulation say different things, or None."""
    if not (theory.decided and simulation.decided) or theory.word == simulation.word:
        return None
    slow = theory.word in (CONVERGES, SUBLINEAR) and simulation.word == CYCLES
    why = "it is too slow to be seen in so many iterations" if slow else "the starts are not near enough"
    return (
        f"theory says {theory.word!r} of any small neighbourhood, and the simulation {simulation.word!r} of its "
        f"starts: {why} ({theory.reason}; {simulation.reason})"
    )
