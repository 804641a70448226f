"""Pages of text about what can be typed, 100 columns wide, made from `ganlab.config.catalog`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from ganlab.config import catalog, option_table, presets
from ganlab.config.catalog import Choice, Group
from ganlab.config.option_table import OWN
from ganlab.config.schema import Option, spell
from ganlab.core import kinds, terminal
from ganlab.core.errors import GanlabError, suggestion
from ganlab.core.kinds import NONE

WIDTH = terminal.columns(most=100)

_SCHEDULES = """\
Schedules: an option whose default is a number with a decimal point may change with the images seen.

  {from:A,to:B,end_steps:N}    also start_steps, end_kimg, start_kimg, shape

A until the start, B after the end, in between along the shape: linear, cosine or exponential.
Steps are iterations, kimg thousands of real images shown to the discriminator.

  ganlab train optimizer.generator.lr='{from:2e-4,to:0,start_steps:500,end_steps:1500}'
  ganlab train loss=r1 reg.r1.gamma='{from:10,to:1,end_kimg:100,shape:cosine}'"""

_EXAMPLES = """\
Examples

  ganlab train
  ganlab train model=biggan generator.width=32 discriminator.width=32 loss=hinge reg=sn
  ganlab train generator=dcgan discriminator=sngan data=folder data.path=photos data.image_size=64
  ganlab train loss=wgan_gp reg.gradient_penalty.weight=5 game.discriminator_steps=5
  ganlab train data.batch_size=2048 accumulate=8 trainer.devices=8 trainer.precision=bf16-mixed
  ganlab train -m reg=none,sn,'[sn,ortho]' seed=0,1,2

`ganlab show NAME` tells what a component does, with its formula and paper."""


def train() -> str:
    """Every group with its choices and their options, the common keys, and examples: of ``ganlab train --help``."""
    first = "Groups, what they offer, and the options of each choice with their defaults"
    pages = [_group(group) for group in catalog.run_groups().values() if group.several and catalog.choices(group.name)]
    return "\n\n".join([first, *pages, _common(), _trainer(), _sweep(), _SCHEDULES, _EXAMPLES])


def part(word: str) -> str:
    """Return the help of `train` about a group such as ``reg``, or about keys of every run such as ``checkpoint``'s.

    Raises:
        GanlabError: If there is neither.
    """
    groups = catalog.run_groups()
    sections = list(dict.fromkeys(key.name.partition(".")[0] for key in catalog.run_keys()))
    known = [*groups, *(section for section in sections if section not in groups), "sweep"]
    if word not in known:
        raise GanlabError(f"There is no group {word!r}.{suggestion(word, known)} Groups: {', '.join(known)}.")
    pages = [_sweep()] if word == "sweep" else []
    if word in groups:
        pages.append(_group(groups[word]) if groups[word].several else _trainer())
    if word in sections:
        lines = key_lines(key for key in catalog.run_keys() if key.name.partition(".")[0] == word)
        pages.append("\n".join(["Keys of every run, with their defaults", "", *lines]))
    return "\n\n".join(pages)


def _group(group: Group) -> str:
    of_model = {part.kind: part.name for part in presets.composition("model", catalog.run_defaults()["model"]).parts}
    default = f"the model's ({of_model[group.name]})" if group.name in of_model else group.kind.default or NONE
    offered = catalog.choices(group.name)
    width = max((len(choice.name) for choice in offered), default=0)
    lines = [f"{group.placeholder}=  {group.kind.what}; default: {default}"]
    lines += [f"  {NONE}"] if group.kind.optional else []
    for choice in offered:
        lines += hanging(f"  {choice.name:<{width}}  ", _options(choice))
    return "\n".join(lines)


def _options(choice: Choice) -> list[str]:
    """The options of a component as ``margin=1.0``; what a preset composes and sets."""
    if choice.rivals:
        return [claimed(choice)]
    group = catalog.groups()[choice.group]
    if not group.offers(choice):
        section = group.where(choice.name)
        return f"in every run{f'; its options are {section}.*' if section else ''}".split()
    kind = group.kind_of(choice)
    if kind is not None:
        described = option_table.read(kind, choice.name)
        return described.problem.split() or [assignment(option) for option in described.options]
    if choice.group == "experiment":  # a whole recipe would be a paragraph: `ganlab show` has it
        return presets.summary(choice).split()
    of = presets.composition(group.address, choice.name)
    composed = [f"{part.kind}={part.name}" for part in of.parts if part.kind not in kinds.at("player")]
    return [*composed, *(f"{key}={spell(value)}" for key, value in of.values.items()), *of.problem.split()]


def _common() -> str:
    return "\n".join(["Keys of every run, with their defaults", "", *key_lines(catalog.run_keys())])


def _sweep() -> str:
    return "\n".join(["Keys of a sweep (-m), with their defaults", "", *key_lines(catalog.sweep_keys())])


def _trainer() -> str:
    own = presets.keys("trainer", "default")
    others = [option.name for option in presets.trainer_keys() if option not in own]
    lines = ["Options of Lightning's Trainer; those that ganlab itself decides are refused", "", *key_lines(own)]
    return "\n".join([*lines, *hanging("  ", others)])


def key_lines(keys: Iterable[Option], most: int = 34) -> list[str]:
    """``  data.batch_size=64  what it is``, aligned."""
    rows = [(assignment(key), key.about) for key in keys]
    width = min(most, max((len(typed) for typed, _ in rows), default=0))
    return [line for typed, about in rows for line in hanging(f"  {typed:<{width}}  ", about.split())]


def assignment(key: Option) -> str:
    """``loss.margin=1.0``; nothing after the sign if there is no default."""
    return f"{key.name}={'' if key.required else spell(key.default)}"


def summary_lines(choices: Sequence[Choice]) -> list[str]:
    """``  hinge   Hinge adversarial loss.``, aligned, one line each."""
    width = max((len(c.name) for c in choices), default=0)
    lines = []
    for choice in choices:
        start = f"  {choice.name:<{width}}  "
        if choice.rivals:
            lines.append(start + claimed(choice))
        else:
            source = f"[{choice.provider}] " if choice.provider != OWN else ""
            kind = catalog.groups()[choice.group].kind_of(choice)
            problem = option_table.read(kind, choice.name).problem if kind is not None else ""
            whole = hanging(start + source, problem.split())
            lines += whole if problem else [one_line(start + source, presets.summary(choice))]
    return lines


def claimed(choice: Choice) -> str:
    """The sentence about a name that several packages claim."""
    return f"CLAIMED BY {' AND '.join([choice.provider, *choice.rivals])}: uninstall all but one"


def one_line(start: str, text: str) -> str:
    """``start`` and as much of the text as fits."""
    return (start + textwrap.shorten(text, WIDTH - len(start), placeholder=" ...")).rstrip()


def hanging(start: str, words: Sequence[str]) -> list[str]:
    """``start`` and the words, wrapped at `WIDTH` with the following lines indented under the first word."""
    text, indent = " ".join(words), " " * len(start)
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=start, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return lines or [start.rstrip()]
