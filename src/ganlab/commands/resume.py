"""``ganlab resume RUN``: continue a run."""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.errors import GanlabError

HELP = """ganlab resume RUN [key=value ...]

Continues a run from its newest whole checkpoint, with the result that an uninterrupted run
would have had. Options of the run may be changed, except for those that change the networks:

  ganlab resume runs/2026-11-21_10-00-00 trainer.max_steps=5000
"""


def run(words: Sequence[str], options: Sequence[str], flags: Sequence[str]) -> int:
    if len(words) != 1:
        raise GanlabError(f"`ganlab resume` takes one run folder, got {len(words)}: ganlab resume RUN [key=value ...].")
    from ganlab import config, run_folder, session

    folder = run_folder.existing(words[0])
    overrides = {o.get_key_element().lstrip("+"): o.value() for o in config.parse(options)}
    return session.resume(folder, overrides).exit_code
