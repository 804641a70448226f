"""``ganlab train``: one run, a sweep (-m), or a run from a folder's config.yaml."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from ganlab.commands.coded import Coded
from ganlab.commands.command import Command, Flag, Passed, Word
from ganlab.core import code_files
from ganlab.core.errors import GanlabError


@dataclass
class Train(Coded, Command):
    """Train a GAN, or sweep over several with -m.

      group=name      a component or a preset:   model=biggan loss=hinge reg=sn data=digits
      group=[a,b]     several, where a run can:  reg=[sn,ortho] logger=[tensorboard,wandb]
      group=none      none, where a run can:     reg=none logger=none
      key=value       an option:                 loss.margin=2 trainer.max_steps=500
      key={...}       a number that changes:     optimizer.generator.lr={from:2e-4,to:0,end_steps:1500}

    Args:
        multirun: values with commas make a sweep, each combination a run of its own
        cfg: print the configuration and stop

    Options may be written --key=value too, as W&B's agents do.

    Quote values with brackets, braces or spaces, which the shell would read itself: reg='[sn,ortho]'.
    `ganlab train --help GROUP` is this page's part about one group.
    ganlab train FOLDER starts, in that folder, the run that FOLDER/config.yaml describes.
    """

    words: Annotated[Sequence[str], Word("[FOLDER]")] = ()
    overrides: Annotated[Sequence[str], Passed(several=True)] = ()
    multirun: Annotated[bool, Flag(("-m", "--multirun"))] = False
    cfg: Annotated[bool, Flag(("--cfg",))] = False

    def __call__(self) -> int:
        from ganlab.config import compose, configuration

        if self.words and not (self.cfg and list(self.words) == ["job"]):  # --cfg job, as in Hydra
            return _from_folder(self.words, self.overrides)
        if self.multirun:
            from ganlab.commands import compare
            from ganlab.runs.sweeps import sweep

            return sweep.start(list(self.overrides), compare.at_the_end)
        from ganlab.runs import inherited
        from ganlab.runs.sweeps import words

        if of_sweep := words.of_sweep(self.overrides):
            raise GanlabError(f"{of_sweep[0]} is an option of a sweep, and this is one run: write `ganlab train -m`.")
        defaults = inherited.options(self.overrides)
        if self.cfg:
            from omegaconf import OmegaConf

            print(OmegaConf.to_yaml(OmegaConf.create(compose.composed(self.overrides, defaults))), end="")
            return 0
        config = compose.read(self.overrides, defaults)
        names = [name for _, name in configuration.component_names(config.plain())]
        code_files.refuse_unused(names, "the run")
        from ganlab.runs import session  # Lightning: a wrong option is refused before it is imported

        return session.start(config).exit_code

    @classmethod
    def help(cls, words: Sequence[str]) -> str:
        """The help of all groups, or of those that ``words`` name."""
        from ganlab.config import help_pages

        return "\n\n".join(map(help_pages.part, words) if words else [super().help(words), help_pages.train()])


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
        return session.start(replace(config, run=replace(config.run, dir=elsewhere[0]))).exit_code
    run_folder.new(str(folder))  # refuses a folder that holds a run already
    return session.start(config, folder).exit_code
