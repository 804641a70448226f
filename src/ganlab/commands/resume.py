"""``ganlab resume RUN``: continue a run."""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.core.errors import GanlabError

HELP = """ganlab resume RUN [key=value ...]

Continues a run from its newest whole checkpoint, with the result that an uninterrupted run
would have had. Options of the run may be changed, except for those that change the networks:

  ganlab resume runs/2026-11-21_10-00-00_sngan_digits_hinge_0 trainer.max_steps=5000

The data must be what the run was trained on; data.changed=accept goes on with other images.
"""


def run(words: Sequence[str], options: Sequence[str], flags: Sequence[str]) -> int:
    if len(words) != 1:
        raise GanlabError(f"`ganlab resume` takes one run folder, got {len(words)}: ganlab resume RUN [key=value ...].")
    from ganlab.config import compose
    from ganlab.runs import run_folder, session

    folder = run_folder.existing(words[0])
    parsed = compose.parse(options)
    for override in parsed:
        if override.is_sweep_override():
            raise GanlabError(f"{override.input_line} has several values, and a run is resumed with one.")
    overrides = {o.get_key_element().lstrip("+"): o.value() for o in parsed}
    return session.resume(folder, overrides).exit_code
