"""A run folder from somebody else is data: what is done with it stays in it, and a folder of the user's is none."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.forked import Forked
from support.runs import TINY

from ganlab import cli
from ganlab.config import compose, configuration
from ganlab.contracts.callback import RunContext
from ganlab.core.errors import GanlabError
from ganlab.runs import around, run_folder
from ganlab.runs.run import Run

COMMANDS = (
    ("resume", "trainer.max_steps=5"), ("sample", "count=4"), ("evaluate", "metrics=spectrum", "samples=40")
)  # fmt: skip


def contents(folder: Path) -> dict[str, object]:
    """Every entry below a folder with what it holds and when it changed."""
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else None, path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("name", [
    ".config.yaml.part", "metrics.jsonl", "config.yaml", "environment.json", ".lock", "checkpoints", "samples",
    "evaluation", "evaluation.jsonl", "evaluation.html", "tensorboard", "checkpoints/last.ckpt", "samples/inner",
])  # fmt: skip
@pytest.mark.parametrize("words", COMMANDS, ids=[words[0] for words in COMMANDS])
def test_a_folder_with_a_link_in_it_is_refused_and_nothing_is_changed(
    copied: Path, tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    mine, link = tmp_path / "mine", copied / name
    if link.exists():
        link.rename(mine)
    else:
        mine.write_text("mine")
    link.symlink_to(mine)
    before = contents(tmp_path)
    with pytest.raises(GanlabError, match=f"{link} is a link, and a run's files are in its folder"):
        cli.dispatch([words[0], str(copied), *words[1:]])
    assert contents(tmp_path) == before


def test_the_folder_itself_may_be_a_link_and_wandbs_own_links_stay(copied: Path, tmp_path: Path) -> None:
    log = copied / "wandb" / "offline-run-1" / "logs" / "debug-core.log"
    log.parent.mkdir(parents=True)
    log.symlink_to(tmp_path / "cache of wandb" / "core-debug.log")
    (copied / "wandb" / "latest-run").symlink_to("offline-run-1")
    (tmp_path / "newest").symlink_to(copied)
    assert Run(tmp_path / "newest").iteration == 4
    (copied / "wandb" / "circle").symlink_to("circle")
    with pytest.raises(GanlabError, match="circle is a link"):
        Run(tmp_path / "newest")


def test_a_link_that_is_called_as_wandbs_log_elsewhere_is_refused(copied: Path, tmp_path: Path) -> None:
    for place in ("samples", "wandb/offline-run-1"):
        log = copied / place / "debug-core.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.symlink_to(tmp_path / "core-debug.log")
        with pytest.raises(GanlabError, match="log is a link"):
            Run(copied)
        log.unlink()


@pytest.mark.parametrize("key", ["data.component", "seed", "trainer.max_steps", "run.max_kimg"])
@pytest.mark.parametrize("words", [*COMMANDS, ("train",)], ids=lambda words: words[0])
def test_no_interpolation_of_a_configuration_is_resolved(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], key: str
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    path = copied / "config.yaml"
    config = yaml.safe_load(path.read_text())
    *parents, last = key.split(".")
    node = config[parents[0]] if parents else config
    node[last] = "${oc.env:SECRET}"
    path.write_text(yaml.safe_dump(config))
    if words[0] == "train":
        (copied / "checkpoints").rename(copied / "gone")
    with pytest.raises(GanlabError) as error:
        cli.dispatch([words[0], str(copied), *words[1:]])
    assert f"{key}=${{oc.env:SECRET}}: it is read as it is written" in str(error.value)
    assert "hunter2" not in str(error.value) + capsys.readouterr().out


def test_init_from_such_a_run_resolves_nothing_either(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    path = copied / "config.yaml"
    path.write_text(path.read_text().replace("initialization: normal", "initialization: ${oc.env:SECRET}"))
    with pytest.raises(GanlabError) as error:
        cli.dispatch(["train", f"init={copied}", "trainer.max_steps=1", f"run.dir={copied.parent / 'new'}"])
    assert "it is read as it is written" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_numbers_and_words_of_a_configuration_are_what_they_were(tmp_path: Path) -> None:
    values = {
        "a": 1e-8,
        "b": "1e-3",
        "c": "2026-11-21",
        "d": "null",
        "e": None,
        "f": True,
        "g": "on",
        "h": float("inf"),
    }
    kept = {**values, "table": {4: 512, 8: 256}, "list": [0.0, 0.5, "0x1f", "1_0"]}
    config = replace(compose.read(TINY), trainer=kept)  # its values are checked where they are used
    run_folder.write_config(tmp_path, config)
    assert run_folder.read_config(tmp_path) == config
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace("1.0e-08", "1e-8").replace("'2026-11-21'", "2026-11-21"))
    assert run_folder.read_config(tmp_path) == config


@pytest.mark.parametrize("word", [
    "tensorboard.save_dir=OUT", "tensorboard.name=../../out", "tensorboard.version=../../../out",
    "tensorboard.sub_dir=../../../../out", "tensorboard.name=OUT",
])  # fmt: skip
def test_tensorboard_writes_below_the_run(copied: Path, tmp_path: Path, word: str) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is missing")
    key, value = word.replace("OUT", str(tmp_path / "out")).split("=")
    logger, option = key.split(".")
    path = copied / "config.yaml"
    path.write_text(path.read_text().replace("logger: {}", f"logger: {{{logger}: {{{option}: {value}}}}}"))
    with pytest.raises(GanlabError, match=r"logger\.tensorboard(: its options lead to|\.save_dir is no option)"):
        cli.dispatch(["resume", str(copied), "trainer.max_steps=5"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [
    {"save_dir": "/tmp"}, {"dir": "/tmp"}, {"settings": {"base_url": "https://example.org"}}, {"save_code": True},
    {"id": "../../out"}, {"resume_from": "x"},
])  # fmt: skip
def test_wandb_writes_below_the_run_and_sends_to_whom_the_user_chose(tmp_path: Path, options: dict[str, Any]) -> None:
    pytest.importorskip("wandb", reason="wandb is missing")
    composed = {**compose.composed(TINY), "logger": {"wandb": {"offline": True, **options}}}
    run = RunContext(tmp_path, composed)
    with pytest.raises(GanlabError, match=r"logger\.wandb(: id must|\.\w+ is no option)"):
        around.loggers(run, around.check(configuration.checked(composed))["logger"], main=True)


# --- run.dir=FOLDER


def test_a_folder_with_other_files_is_refused_as_a_run_folder(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "config.yaml").write_text("services: {web: {image: nginx}}\n")
    (folder / "metrics.jsonl").write_text('{"mine": 1}\n')
    (folder / ".thesis.part").write_text("half of it")
    (folder / "samples").mkdir()
    before = contents(tmp_path)
    names = r"\.thesis\.part, config\.yaml, metrics\.jsonl and 1 more"
    sentences = {
        (*TINY, "trainer.max_steps=1", f"run.dir={folder}"): rf"run\.dir={folder} holds other things \({names}\): give",
        (str(folder),): r"config\.yaml: services is no option of a run",
    }
    for words, sentence in sentences.items():
        with pytest.raises(GanlabError, match=sentence):
            cli.dispatch(["train", *words])
        assert contents(tmp_path) == before


def test_a_folder_with_links_is_no_place_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    run_folder.write_config(tmp_path / "run", compose.read(TINY))
    (tmp_path / "run" / "metrics.jsonl").symlink_to(tmp_path / "mine")
    for words in (["train", *TINY, f"run.dir={tmp_path / 'run'}"], ["train", str(tmp_path / "run")]):
        with pytest.raises(GanlabError, match=r"metrics\.jsonl is a link"):
            cli.dispatch(words)
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_run_takes_an_empty_folder_and_one_in_which_a_run_was_killed_while_it_started(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / ".lock").touch()
    (folder / ".config.yaml.0123456789ab.part").touch()
    assert run_folder.new(str(folder)) == folder
    (folder / "checkpoints" / "notes").touch()
    with pytest.raises(GanlabError, match=r"holds other things \(checkpoints\)"):
        run_folder.new(str(folder))


def test_a_pipe_in_a_run_is_not_waited_for(copied: Path, tmp_path: Path) -> None:
    os.unlink(copied / "config.yaml")
    os.mkfifo(copied / "config.yaml")
    code, _, said = Forked(["sample", str(copied)], tmp_path).end(60)
    assert code == 2
    assert "config.yaml" in said
