"""Runs that are killed (SIGKILL) at a chosen moment; they are forked from a process that has imported everything."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from support import server


def killed(words: Sequence[str], moment: str, count: int | float) -> int | None:
    """Train with these options in a process that dies at the ``count``-th ``moment``, see `MOMENTS`; its exit code.

    Args:
        words: Options of ``train``, or ``resume``, a folder and options.
    """
    process = server.context().Process(target=_train, args=(list(words), moment, count))
    process.start()
    process.join(120)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"the run was to be killed at {moment} {count}, and hangs")
    return process.exitcode


def _train(words: list[str], moment: str, count: Any) -> None:
    import torch

    from ganlab import cli

    torch.set_num_threads(1)
    MOMENTS[moment](count)
    cli.dispatch(words if words[0] == "resume" else ["train", *words])


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _before(
    owner: Any, name: str, count: int, concerns: Callable[..., bool] = lambda *a, **k: True, after: bool = False
) -> None:
    """Die before (or after) the ``count``-th call of ``owner.name`` that is of concern."""
    original, calls = getattr(owner, name), [0]

    def replaced(*arguments: Any, **options: Any) -> Any:
        if concerns(*arguments, **options):
            calls[0] += 1
        if calls[0] == count and not after:
            _die()
        result = original(*arguments, **options)
        if calls[0] == count:
            _die()
        return result

    setattr(owner, name, replaced)


def _in_an_iteration(count: int) -> None:
    from ganlab.engine.player_optimizers import PlayerOptimizers

    _before(PlayerOptimizers, "step", count)


def _while_writing(count: int) -> None:
    """Half of the bytes of the ``count``-th checkpoint are on the disk."""
    import io

    import torch

    save, calls = torch.save, [0]

    def half(content: Any, file: Any) -> None:
        calls[0] += 1
        if calls[0] < count:
            return save(content, file)
        whole = io.BytesIO()
        save(content, whole)
        file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
        file.flush()
        _die()

    torch.save = half  # type: ignore[assignment]


def _is_checkpoint(source: Any, target: Any) -> bool:
    return Path(target).suffix == ".ckpt"


def _before_a_rename(count: int) -> None:
    _before(os, "replace", count, _is_checkpoint)


def _after_a_rename(count: int) -> None:
    _before(os, "replace", count, _is_checkpoint, after=True)


def _before_any_replacement(count: int) -> None:
    _before(os, "replace", count)


def _after_any_replacement(count: int) -> None:
    _before(os, "replace", count, after=True)


def _before_another_files_replacement(count: int) -> None:
    _before(os, "replace", count, lambda source, target: not _is_checkpoint(source, target))


def _before_a_surplus_one_goes(count: int) -> None:
    _before(Path, "unlink", count, lambda path, **options: path.name.startswith("step_"))


def _in_a_line_of_metrics(count: int) -> None:
    from ganlab.core import files

    calls = [0]
    append = files.append

    def half(path: Path, line: bytes) -> None:
        calls[0] += bool(line)
        if calls[0] < count or not line:
            return append(path, line)
        append(path, line[: len(line) // 2])
        _die()

    files.append = half


def _after_seconds(count: float) -> None:
    timer = threading.Timer(count, _die)
    timer.daemon = True
    timer.start()


MOMENTS: dict[str, Callable[[Any], None]] = {
    "in an iteration": _in_an_iteration,
    "while writing": _while_writing,
    "before a rename": _before_a_rename,
    "after a rename": _after_a_rename,
    "before any replacement": _before_any_replacement,
    "after any replacement": _after_any_replacement,
    "before another file's replacement": _before_another_files_replacement,
    "before a surplus one goes": _before_a_surplus_one_goes,
    "in a line of metrics": _in_a_line_of_metrics,
    "after seconds": _after_seconds,
}
