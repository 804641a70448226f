"""Pages of text about what can be typed, 100 columns wide, made from `ganlab.config.catalog`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from ganlab.config import catalog
from ganlab.config.catalog import NONE, OWN, Choice, Key, spell
from ganlab.core import kinds
from ganlab.core.errors import GanlabError, suggestion

WIDTH = 100

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
    used = catalog.run_defaults()
    sections = ["Groups, what they offer, and the options of each choice with their defaults"]
    for group, what in catalog.run_groups().items():
        offered = catalog.choices(group)
        if offered and group != "trainer":
            sections.append(_group(group, what, offered, used.get(group, (NONE,))))
    return "\n\n".join([*sections, _common(), _trainer(), _SCHEDULES, _EXAMPLES])


def part(word: str) -> str:
    """Return the help of `train` about a group such as ``reg``, or about keys of every run such as ``checkpoint``'s.

    Raises:
        GanlabError: If there is neither.
    """
    groups = catalog.run_groups()
    sections = list(dict.fromkeys(key.key.partition(".")[0] for key in catalog.run_keys()))
    known = [*groups, *(section for section in sections if section not in groups)]
    if word not in known:
        raise GanlabError(f"There is no group {word!r}.{suggestion(word, known)} Groups: {', '.join(known)}.")
    pages = []
    if word == "trainer":
        pages.append(_trainer())
    elif word in groups:
        pages.append(_group(word, groups[word], catalog.choices(word), catalog.run_defaults().get(word, (NONE,))))
    if word in sections:
        lines = key_lines(key for key in catalog.run_keys() if key.key.partition(".")[0] == word)
        pages.append("\n".join(["Keys of every run, with their defaults", "", *lines]))
    return "\n\n".join(pages)


def _group(group: str, what: str, offered: Sequence[Choice], used: Sequence[str]) -> str:
    parts, _ = catalog.compose("model", catalog.run_defaults()["model"][0])
    of_model = {part.kind: part.name for part in parts}
    default = f"the model's ({of_model[group]})" if group in of_model else ",".join(used)
    width = max(len(choice.name) for choice in offered)
    lines = [f"{how_to_type(group).partition('=')[0]}=  {what}; default: {default}"]
    lines += [f"  {NONE}"] if catalog.is_optional(group) else []
    for choice in offered:
        lines += hanging(f"  {choice.name:<{width}}  ", _options(choice))
    return "\n".join(lines)


def _options(choice: Choice) -> list[str]:
    """The options of a component as ``margin=1.0``; what a preset composes and sets."""
    if choice.rivals:
        return [claimed(choice)]
    if choice.name in (always := kinds.KINDS[choice.group].always if choice.group in kinds.KINDS else {}):
        return f"in every run{f'; its options are {always[choice.name]}.*' if always[choice.name] else ''}".split()
    if choice.preset is None and choice.group != "model":
        found = catalog.keys(choice.group, choice.name)
        return [assignment(key).removeprefix(key.key.removesuffix(key.option.name)) for key in found]
    if choice.group == "experiment":  # a whole recipe would be a paragraph: `ganlab show` has it
        return catalog.summary(choice).split()
    parts, values = catalog.compose(choice.group, choice.name)
    composed = [f"{part.kind}={part.name}" for part in parts if part.kind != "optimizer"]
    return [*composed, *(f"{key}={spell(value)}" for key, value in values.items())]


def _common() -> str:
    return "\n".join(["Keys of every run, with their defaults", "", *key_lines(catalog.run_keys())])


def _trainer() -> str:
    own = catalog.keys("trainer", "default")
    others = [k.key for k in catalog.trainer_keys() if k not in own]
    lines = ["Options of Lightning's Trainer; those that ganlab itself decides are refused", "", *key_lines(own)]
    return "\n".join([*lines, *hanging("  ", others)])


def key_lines(keys: Iterable[Key], most: int = 34) -> list[str]:
    """``  data.batch_size=64  what it is``, aligned."""
    rows = [(assignment(key), key.about) for key in keys]
    width = min(most, max((len(typed) for typed, _ in rows), default=0))
    return [line for typed, about in rows for line in hanging(f"  {typed:<{width}}  ", about.split())]


def assignment(key: Key) -> str:
    """``loss.margin=1.0``; nothing after the sign if there is no default."""
    return f"{key.key}={'' if key.required else spell(key.option.default)}"


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
            lines.append(one_line(start + source, catalog.summary(choice)))
    return lines


def claimed(choice: Choice) -> str:
    """The sentence about a name that several packages claim."""
    return f"CLAIMED BY {' AND '.join([choice.provider, *choice.rivals])}: uninstall all but one"


def how_to_type(group: str) -> str:
    """``reg=NAME, reg=[NAME,...] or reg=none``."""
    word = typed(group)
    if group == "optimizer":
        return "optimizer/PLAYER=NAME, PLAYER being generator or discriminator"
    none = f" or {group}={NONE}" if catalog.is_optional(group) else ""
    return f"{word}=NAME" + (f", {word}=[NAME,...]" if catalog.takes_several(group) else "") + none


def typed(group: str) -> str:
    """What is typed before ``=`` to choose one of a group."""
    kind = kinds.KINDS.get(group)
    return kind.word or group if kind else group


def one_line(start: str, text: str) -> str:
    """``start`` and as much of the text as fits."""
    return (start + textwrap.shorten(text, WIDTH - len(start), placeholder=" ...")).rstrip()


def hanging(start: str, words: Sequence[str]) -> list[str]:
    """``start`` and the words, wrapped at `WIDTH` with the following lines indented under the first word."""
    lines, line = [], start
    for word in words:
        gap = "" if line in (start, " " * len(start)) else " "
        if gap and len(line + gap + word) > WIDTH:
            lines.append(line)
            line, gap = " " * len(start), ""
        line += gap + word
    return [*lines, line.rstrip()]
