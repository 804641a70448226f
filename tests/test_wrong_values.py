"""Random wrong values for every option of every component and for every run key: success, or one sentence."""

from __future__ import annotations

import random
import shutil
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.runs import TINY
from support.wrong import WRONG

from ganlab.assembly import experiment
from ganlab.config import catalog, command_line, compose, presets
from ganlab.core import cache, kinds, registry
from ganlab.core.errors import GanlabError
from ganlab.evaluation import protocol
from ganlab.runs import trainer
from ganlab.runs.checkpoints import AtomicCheckpointIO


def keys() -> list[tuple[tuple[str, ...], str]]:
    """Every option, with the words that bring it into a configuration."""
    found: list[tuple[tuple[str, ...], str]] = [
        (TINY, option.name) for option in (*catalog.run_keys(), *presets.trainer_keys())
    ]
    for kind in kinds.KINDS:
        for name in registry.names(kind):
            typed = "optimizer/generator" if kind == "optimizer" else kind
            for option in presets.keys(typed, name):
                found.append((words(kind, name), option.name))
    return found


def words(kind: str, name: str) -> tuple[str, ...]:
    if kind in ("metric", "features"):
        return (f"{kind}={name}",)
    typed = "optimizer/generator" if kind == "optimizer" else kind
    return (*(word for word in TINY if not word.startswith(f"{kind}.")), f"{typed}={name}")


def lines(count: int, seed: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """As many command lines; each key comes as often as another, in a random order, with random values."""
    drawn, every = random.Random(seed), keys()
    for start in range(0, count, len(every)):
        chosen = drawn.sample(every, min(len(every), count - start))
        yield from ((before, f"{key}={drawn.choice(WRONG)}") for before, key in chosen)


def attempt(before: tuple[str, ...], word: str) -> None:
    """Compose, check and build, as training and evaluation do."""
    if before[0].startswith(("metric=", "features=")):
        key = word.partition("=")[0]
        (override,) = command_line.parse([word])
        kind, _, name = before[0].partition("=")
        chosen = {"metrics": [name]} if kind == "metric" else {"features": name}
        changed = protocol.preset("digits").changed({**chosen, key: override.value()})
        changed.make_metrics()
        changed.make_extractor()
        return
    config = compose.read([*before, word])
    trainer.check(config.trainer)
    built = experiment.build(config)
    trainer.make(dict(built.config.trainer), [], [], AtomicCheckpointIO())


def escaped(count: int, seed: int) -> list[str]:
    """The cases that raised anything but a sentence."""
    found = []
    for before, word in lines(count, seed):
        try:
            attempt(before, word)
        except GanlabError as error:
            if not str(error).rstrip().endswith((".", "?", "!")):
                found.append(f"{before[-1]} {word[:80]}: no sentence: {error}")
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {str(error)[:100]} ({where.filename}:{where.lineno})"
            found.append(f"{before[-1]} {word[:80]}: {what}")
    return found


@pytest.fixture(autouse=True)
def _elsewhere(tables: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written where the user is; the tables of options, which take seconds to make, are copied."""
    shutil.copytree(cache.cache_folder() / "options", tmp_path / "cache/options")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))


def test_every_option_is_tried() -> None:
    known = {key.rpartition(".")[0].partition(".")[0] for _, key in keys()}
    assert {"generator", "loss", "reg", "optimizer", "data", "trainer", "ema", "fid", "features", "growth"} <= known
    assert len(keys()) > 300


def test_wrong_values_are_one_sentence() -> None:
    problems = escaped(12, seed=1)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("before", "word", "message"),
    [
        ("augment=ada", "augment.multipliers={from:1,to:0,end_steps:3}", "no transformation is called 'from'"),
        ("metric=torchmetrics", "torchmetrics.options={from:1,to:0,end_steps:3}", "Unexpected keyword.*from"),
    ],
)
def test_a_mapping_is_no_schedule(before: str, word: str, message: str) -> None:
    """These ended in tracebacks: a number stood where the component wants a mapping."""
    with pytest.raises(GanlabError, match=message):
        attempt((before,), word)


@pytest.mark.slow
def test_500_wrong_values_are_one_sentence_each() -> None:
    problems = escaped(500, seed=2)
    assert not problems, "\n".join(problems)
