"""What a user can cause, said in one sentence; the ground floor."""

from __future__ import annotations

from collections.abc import Iterable


class GanlabError(Exception):
    """Something that the user can mend: what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with its ``exit_code``.
    """

    exit_code = 2


class RankLostError(GanlabError):
    """Another process of a run has ended: nothing to mend, but the run is not done."""

    exit_code = 1


def suggestion(name: str, known: Iterable[str]) -> str:
    """`` Did you mean 'hinge'?`` when a known name is near, else an empty string."""
    import difflib  # here, see `ganlab.__main__`

    near = difflib.get_close_matches(name, sorted(known), n=2, cutoff=0.55)
    return f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""


def one_of(choice: str, allowed: Iterable[str], what: str) -> None:
    """Raise ``ValueError`` unless ``choice`` is allowed; ``what`` names the option."""
    allowed = tuple(allowed)
    if choice not in allowed:
        near = suggestion(str(choice), allowed)
        raise ValueError(f"{what} must be one of {', '.join(allowed)}, got {choice!r}.{near}")
