"""Errors that a user can cause, and their sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class GanlabError(Exception):
    """An error that the user can fix, in one sentence: what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with its ``exit_code``.
    """

    exit_code = 2


class RankLostError(GanlabError):
    """Another process of a run has ended: nothing to fix, but the run is not done."""

    exit_code = 1


class PartFailedError(GanlabError):
    """A callback, a logger or a file of the user's own has failed: its author must fix it, and the run is not done."""

    exit_code = 1


def suggestion(name: object, known: Iterable[str]) -> str:
    """`` Did you mean 'hinge'?`` when a known name is near, else an empty string; a key in YAML may be a number."""
    import difflib  # here, see `ganlab.__main__`

    near = difflib.get_close_matches(str(name), sorted(known), n=2, cutoff=0.55)
    return f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""


def sentence(error: BaseException | str) -> str:
    """Return the message of an error, on one line and with a full stop."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if text.endswith((".", "?", "!")) else f"{text}."


def few(items: Sequence[str], most: int = 3, between: str = ", ") -> str:
    """``a, b, c and 4 more``: the first items of a list, and how many others there are."""
    more = f" and {len(items) - most:,} more" if len(items) > most else ""
    return between.join(items[:most]) + more


def shortened(text: str, most: int = 60) -> str:
    """Return a text on one line, of at most ``most`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


def shown(value: object) -> str:
    """Return what a value looks like, for messages: one line of at most 60 characters."""
    if isinstance(value, int) and abs(value) > 10**100:
        return "a number of hundreds of digits"
    return shortened(repr(value))


def short_of_memory(error: BaseException) -> bool:
    """Tell if an error is one of Python's, numpy's or torch's for an allocation that failed."""
    text = str(error).lower()
    messages = ("out of memory", "can't allocate memory", "not enough memory", "storage size calculation overflowed")
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(m in text for m in messages))


def one_of(choice: str, allowed: Iterable[str], what: str) -> None:
    """Raise ``ValueError`` unless ``choice`` is allowed; ``what`` names the option."""
    allowed = tuple(allowed)
    if choice not in allowed:
        near = suggestion(str(choice), allowed)
        raise ValueError(f"{what} must be one of {', '.join(allowed)}, got {shown(choice)}.{near}")
