"""``ganlab train``: one run, a sweep (-m), or a run from a folder's config.yaml."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ganlab.core.errors import GanlabError

FLAGS = ("-m", "--multirun", "--cfg")


def run(words: Sequence[str], options: Sequence[str], flags: Sequence[str]) -> int:
    from ganlab.config import compose

    if "--cfg" in flags and list(words) == ["job"]:  # as Hydra's users write it
        words = []
    if words:
        return _from_folder(words, options)
    if "-m" in flags or "--multirun" in flags:
        from ganlab.runs import sweep

        return sweep.run(list(options))
    from ganlab.runs.fine_tuning import with_inherited

    composed = compose.read(with_inherited(options))
    if "--cfg" in flags:
        from omegaconf import OmegaConf

        print(OmegaConf.to_yaml(OmegaConf.create(composed)), end="")
        return 0
    from ganlab.runs import session

    return session.start(composed).exit_code


def _from_folder(words: Sequence[str], options: Sequence[str]) -> int:
    """``ganlab train FOLDER [run.dir=NEW]``: start the run that FOLDER/config.yaml describes, in FOLDER or anew."""
    from ganlab.runs import run_folder, session

    elsewhere = [option.partition("=")[2] for option in options if option.startswith("run.dir=")]
    if len(words) > 1 or len(options) > len(elsewhere) or len(elsewhere) > 1:
        raise GanlabError(
            f"{' '.join([*words, *options])!r}: options are written key=value; `ganlab train FOLDER`, alone or with "
            f"run.dir=NEW, starts the run of FOLDER/config.yaml."
        )
    if not os.path.isdir(words[0]):
        near = f" Did you mean {words[0]}=...?" if words[0].isidentifier() else ""
        raise GanlabError(f"{words[0]!r} is neither an option (key=value) nor a folder with a config.yaml.{near}")
    folder = run_folder.existing(words[0])
    config = run_folder.read_config(folder)
    if elsewhere:
        return session.start({**config, "run": {**config["run"], "dir": elsewhere[0]}}).exit_code
    run_folder.new(str(folder))  # refuses a folder that holds a run already
    return session.start(config, folder).exit_code


def help_text(words: Sequence[str]) -> str:
    """The help of all groups, or of those that ``words`` name."""
    from ganlab.config import help_pages

    return "\n\n".join(map(help_pages.part, words)) if words else help_pages.train()
