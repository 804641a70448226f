"""``ganlab <command> [words] [key=value] [flags]``: parses the command and imports only what it needs.

One grammar for all commands: words are run folders or names, ``key=value`` are options; ``--key=value``
is the same, as W&B's agents write it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from ganlab.commands import COMMANDS
from ganlab.core import streams, terminal, tie, traceback_file
from ganlab.core.errors import GanlabError, sentence, short_of_memory, suggestion
from ganlab.core.stop_signals import WATCH, handled_signals, say


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line and exit; an error that the user can fix prints one sentence and exits with 2.

    Every other exception is a bug: one line names the file with its traceback, and the exit code is 1.

    Args:
        arguments: The command line; None: the process's own, whose second signal then ends it at once.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    # what is started from here (ranks, compilers, W&B's service) imports nothing of the current folder, from Python
    # 3.11 on; what ganlab starts itself does so in no version
    os.environ["PYTHONSAFEPATH"] = "1"
    if arguments is None:
        WATCH.begin(_leave, silent=not streams.is_first_rank())
        tie.watch()
    else:
        for number in handled_signals():
            signal.signal(number, _leave)
    try:
        code = dispatch(words)
    except GanlabError as error:
        if os.environ.get("GANLAB_TRACEBACK"):
            raise
        if streams.is_first_rank():
            print(f"ganlab: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("ganlab: interrupted.", file=sys.stderr)
        code = 128 + signal.SIGINT
    except BrokenPipeError:  # `ganlab list | head`
        code = 0
    except Exception as error:
        if os.environ.get("GANLAB_TRACEBACK"):
            raise
        code = _flushed(0, "\n") if isinstance(error, OSError) else 0
        code = code or _report_bug(error, words)  # the output did not fail
    sys.exit(_flushed(code))


def _flushed(code: int, last: str = "") -> int:
    """Write ``last``, flush standard output, and return the exit code."""
    try:
        sys.stdout.write(last)
        sys.stdout.flush()
        return code
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python flushes again at exit
        if isinstance(error, BrokenPipeError):
            return code
        say(f"ganlab: the output could not be written: {error.strerror or error}.")
        return code or 1


def dispatch(words: Sequence[str]) -> int:
    """Run a command line; return the exit code.

    Raises:
        GanlabError: For errors that a user can fix.
    """
    if not words or words[0] in ("-h", "--help", "help"):
        print(terminal.folded(usage()))
        return 0
    if words[0] in ("-V", "--version"):
        from ganlab import __version__

        print(f"ganlab {__version__}")
        return 0
    command, *rest = words
    if command not in COMMANDS and command != "complete":
        raise GanlabError(
            f"There is no command {command!r}.{suggestion(command, COMMANDS)} Commands: {', '.join(COMMANDS)}."
        )
    from ganlab.commands.command import load

    return load(command).run(rest)


def _report_bug(error: Exception, words: Sequence[str]) -> int:
    """Print one sentence about an error that is no `GanlabError`; return the exit code."""
    if short_of_memory(error):
        if streams.is_first_rank():
            print(
                f"ganlab: There is too little memory: {sentence(error)} Lower the numbers that take it.",
                file=sys.stderr,
            )
        return 2
    path, first = traceback_file.write(error, words)
    if first:  # else another rank has printed it
        print(
            f"ganlab: This is a bug of ganlab's ({type(error).__name__}); please report it with the traceback in "
            f"{path}.",
            file=sys.stderr,
        )
    return 1


def usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "ganlab: train and compare GANs.",
            "",
            "usage: ganlab COMMAND [RUN or NAME ...] [key=value ...]",
            "",
            *lines,
            "",
            "  ganlab train                                       the embedded digits, two minutes on a CPU",
            "  ganlab train model=biggan loss=hinge reg=sn data=zip data.path=images.zip data.image_size=32",
            "  ganlab train -m reg=none,sn,ortho,vib seed=0,1     a sweep",
            "  ganlab COMMAND --help                              more about one command",
        ]
    )


def _leave(number: int, frame: FrameType | None) -> None:
    """Handle Ctrl-C and SIGTERM outside of training: raise an exception, so that cleanup runs.

    During an import the process ends at once: an exception there would make torch and numpy abort it.
    """
    WATCH.handled(number)
    importing = False
    while frame is not None and not importing:
        importing = frame.f_code.co_filename.startswith("<frozen importlib")
        frame = frame.f_back
    if number == signal.SIGINT and not importing:
        raise KeyboardInterrupt
    if streams.is_first_rank():
        say(f"ganlab: {'interrupted' if number == signal.SIGINT else 'terminated'}.")
    if importing:
        os._exit(128 + number)
    sys.exit(128 + number)
