"""Whatever a user gets wrong is one sentence on standard error, exit code 2, and nothing is left behind."""

import copy
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from support.runs import TINY

from ganlab import cli
from ganlab.assembly import experiment
from ganlab.config import compose, configuration
from ganlab.core.errors import GanlabError
from ganlab.runs import run_folder, session, trainer
from ganlab.runs.checkpoints import AtomicCheckpointIO
from ganlab.runs.run import Run


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The sentence with which a command line is refused."""
    with pytest.raises(SystemExit) as caught:
        cli.main(list(words))
    captured = capsys.readouterr()
    assert caught.value.code == 2, captured
    assert "Traceback" not in captured.err
    lines = [line for line in captured.err.splitlines() if line]
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("ganlab: ")
    assert lines[0].endswith((".", "?"))
    return lines[0].removeprefix("ganlab: ")


LONG = "n" * 300  # longer than a name of a file may be

WRONG = {
    # names
    "trian": "There is no command 'trian'. Did you mean 'train'?",
    "train loss=hindge": "No adversarial loss is called 'hindge'. Did you mean 'hinge'?",
    "train model=bigan": "No model is called 'bigan'. Did you mean 'biggan'",
    "train reg=snn": "'snn'",
    "train data=zipp": "No data set is called 'zipp'. Did you mean 'zip'?",
    "train lss=hinge": "'lss' is no option. Did you mean 'loss'?",
    "train data.batchsize=8": "'data.batchsize' is no option. Did you mean 'data.batch_size'?",
    "train loss.margn=1": "'loss.margn' is no option. Did you mean 'loss.margin'?",
    "train reg.sn.x=1": "'reg.sn.x' has no effect because the regularizer 'sn' is not in use: add it as reg=sn",
    "train checkpoint.every=3": "Did you mean 'checkpoint.every_steps'?",
    "train trainer.max_step=3": "Lightning's Trainer has no option 'max_step'. Did you mean 'max_steps'",
    "train logger=tensorbord": "tensorboard",
    "train --fast": "`ganlab train` has no flag --fast.",
    "train hinge": "'hinge' is neither an option (key=value) nor a folder with a config.yaml.",
    "train clip.critic=1": "clip.critic: the game has no such player.",
    # types and ranges of what every run has
    "train seed=x": "seed must be a whole number, got 'x'.",
    "train seed=-1": "seed must be at least 0, got -1.",
    "train seed=1,2": "sweep over them with `ganlab train -m`",
    "train accumulate=0": "accumulate must be at least 1, got 0.",
    "train accumulate=1.5": "accumulate must be a whole number, got 1.5.",
    "train sync_batch_norm=3": "sync_batch_norm must be true or false, got 3.",
    "train channels_last=maybe": "channels_last must be true or false",
    "train compile=2": "compile must be true or false or max-autotune-no-cudagraphs, got 2",
    "train recorded=maybe": "recorded must be true or false or auto, got 'maybe'",
    "train recorded=true trainer.accelerator=cpu": "this run is on the cpu: take recorded=auto",
    "train state_updates=never": "state_updates must be one of own_turn, every_forward, got 'never'.",
    "train data.batch_size=0": "data.batch_size must be at least 1, got 0.",
    "train data.batch_size=many": "data.batch_size must be a whole number",
    "train data.batch_size=null": "data.batch_size must be a whole number",
    "train augment=ada augment.multipliers={1:2}": "multipliers: no transformation is called 1.",
    "train data.image_size=0": "data.image_size must be at least 1 or null, got 0.",
    "train data.image_size=[8,8,8]": "data.image_size must",
    "train data.image_size=big": "data.image_size must",
    "train data.image_channels=2": "data.image_channels must be 1 or 3, got 2.",
    "train data.num_classes=-1": "data.num_classes must be at least 0",
    "train data.mirror=1": "data.mirror must be true or false",
    "train data.dequantize=some": "data.dequantize must be true or false",
    "train data.memory_budget_mib=-1": "data.memory_budget_mib must be at least 0",
    "train data.on_device=1": "data.on_device must be true or false or auto, got 1",
    "train tf32=high": "tf32 must be true or false or auto, got 'high'",
    "train data.undecodable=ignore": "data.undecodable must be one of error, skip, got 'ignore'.",
    "train ema.half_life_kimg=-1": "ema.half_life_kimg must be at least 0",
    "train ema.ramp_up=0": "ema.ramp_up must be positive",
    "train ema.start_kimg=-1": "ema.start_kimg must be at least 0",
    "train clip.generator=0": "clip.generator must be positive or null, got 0.",
    "train clip.generator=x": "clip.generator must be a number or null, got 'x'.",
    "train checkpoint.every_steps=0": "checkpoint.every_steps must be at least 1",
    "train checkpoint.keep=-1": "checkpoint.keep must be at least 0",
    "train sample.every_steps=0": "sample.every_steps must be at least 1",
    "train sample.count=0": "sample.count must be at least 1",
    "train sample.keep=1": "sample.keep must be at least 2",
    "train sample.truncation=0": "sample.truncation must be positive",
    "train guard.unbounded=-1": "guard.unbounded must be positive or null, got -1.",
    "train run.max_kimg=0": "run.max_kimg must be positive or null, got 0.",
    "train run.max_kimg=x": "run.max_kimg must be",
    "train trainer.max_steps=x": "trainer.max_steps must be a whole number",
    "train trainer.max_steps=-2": "trainer.max_steps must be a whole number of at least -1, got -2.",
    "train trainer=5": "5",
    "train optimizer.generator.lr=-1": "optimizer.generator: lr must be finite and at least 0",
    "train optimizer.generator.lr=fast": "optimizer.generator.lr must be a number",
    "train optimizer.generator.lr={from:1}": "optimizer.generator.lr: a schedule needs both 'from' and 'to'.",
    "train optimizer.generator.lr={from:1,to:0,end:3}": "a schedule has no 'end'",
    "train reg=r1 reg.r1.gamma={from:x,to:1,end_kimg:1}": "reg.r1.gamma: a schedule's 'from' must be a finite number",
    "train reg=top_k reg.top_k.share={from:1,to:0,end_kimg:1,shape:exponential}": "reg.top_k.share: an exponential",
    "train reg=r1 reg.r1.gamma={from:1,to:-1,end_kimg:1}": "reg.r1, where its schedules end: gamma must be finite and",
    "train loss.margin=-1": "loss: ",
    "train seed=1e30": "seed must be a whole number below 9.2e+18, got 1e+30.",
    f"train seed={'9' * 400}": "seed must be a whole number below 9.2e+18, got a number of hundreds of digits.",
    "train run.max_kimg=nan": "run.max_kimg must be a finite number or null, got nan.",
    "train ema.half_life_kimg={from:1,to:-1,end_kimg:1}": "ema: half_life_kimg must be finite and at least 0, got",
    "train optimizer.generator.betas=[0.0,{from:0.9,to:2,end_kimg:1}]": "betas[1] must be in [0, 1), got 2.0.",
    "train model=r3gan generator.group_width=7": "expected group_width to divide",
    "train ema.half_life_kimg=inf": "ema.half_life_kimg must be a finite number, got inf.",
    "train clip=3": "clip must be a limit for each player, such as clip.generator=1.0, got 3.",
    "train clip.generator=nan": "clip.generator must be a finite number or null, got nan.",
    "train reg=r1 reg.r1.gamma=nan": "reg.r1.gamma must be a finite number or auto, got nan.",
    "train optimizer.generator.lr=inf": "optimizer.generator.lr must be a finite number, got inf.",
    f"train seed={'9' * 5000}": "cannot be read: its value is too long.",
    f"train seed={'[' * 2000}{']' * 2000}": "cannot be read: its value is too long.",
    "train trainer.val_check_interval=0.1": "trainer.val_check_interval is ganlab's own business: use evaluate.every",
    "train trainer.limit_train_batches=0.5": "trainer.limit_train_batches must be a whole number or null, got 0.5.",
    "train trainer.detect_anomaly=3": "trainer.detect_anomaly must be true or false, got 3.",
    "train trainer.profiler=3": "trainer.profiler must be a word, got 3.",
    "train -m seed=interval(0,1)": "name the values, as seed=0.1,0.3,1.",
    "train -m loss=glob(zzz*)": "loss=glob(zzz*) matches nothing. Known: ct_gan,",
    "train -m seed=range(0,0)": "seed=range(0,0) has no values.",
    "train -m seed=range(0,1e30)": "seed=range(0,1e30) has more than 10,000 values.",
    "bench kimg=nan": "kimg must be a finite number, got nan.",
    "train game.discriminator_steps=1000000000000": "discriminator_steps must be in [1, 10000], got 1000000000000",
    "train game=meg game.discriminator_steps=1000000000000": "discriminator_steps must be in [1, 10000]",
    # what does not go together
    "train data.image_size=5": "image_size",
    "train model=biggan data.image_size=33": "got 33; nearest for the side is 32 or 40.",
    "train model=biggan data.image_size=[50,64]": "both sides halve as often, and the shorter one counts; nearest is",
    "train model=biggan generator.attention=20": "one of 8, 16, 32 (0 for none), got 20; nearest is 16.",
    "train data.batch_size=9 accumulate=2": "divide into accumulate=2 times 1 process: try data.batch_size=8 or 10.",
    "train accumulate=1000000000000": "of less than an image: take accumulate=64 at most.",
    "train data.batch_size=1 accumulate=2": "try data.batch_size=2.",
    "train data.num_classes=7": "data.num_classes=7, but the data set 'digits' has 10 classes",
    "train reg=[sn,sn]": "'sn' twice",
    "train trainer.devices=64 trainer.accelerator=gpu": "trainer.accelerator=gpu, but torch sees no GPU",
    "train trainer.precision=16-mixed": "trainer.precision=16-mixed is not supported",
    # data
    "train data=zip": "data.path must be given",
    "train data=zip data.path=nowhere.zip": "nowhere.zip",
    "train data=folder data.path=": "data.path must be a path, got ''.",
    "train data=torchvision data.path=": "data.path must be a path or null, got ''.",
    "train -m run.dir= reg=none,sn": "run.dir must be a path or null, got ''.",
    "compare runs out=": "out= names no file or folder: give a path, or leave it out.",
    "train data=folder data.path=nowhere": "nowhere",
    "train data=folder data.path=empty": "empty",
    "train data=folder data.path=text": "picture.png",
    "train data=zip data.path=cut.zip": "cut.zip",
    "train data=zip data.path=wrong.zip": "dataset.json",
    "train data=folder data.path=flat data.num_classes=2": "has no labels",
    f"train data=folder data.path={LONG}": f"There is no folder {LONG}",
    "train data=zip data.path='~nobody/a.zip'": "There is no file ~nobody/a.zip",
    f"train init={LONG}": f"There is no run folder {LONG}",
    # folders
    f"train run.dir={LONG}": "cannot be made: File name too long.",
    f"train {LONG}": "is neither an option (key=value) nor a folder",
    f"resume {LONG}": f"There is no run folder {LONG}",
    "dynamics iterations=1000000000000": "iterations must be in [100, 1e+07], got 1000000000000.",
    "dynamics problem=ring data.batch_size=1000000000000": "data.batch_size=1000000000000 images of 1x1 need",
    "train run.dir=a\0": "'run.dir=a\\x00' holds a null character",
    "resume a\0": "'a\\x00' holds a null character",
    f"sample {LONG}": f"There is no run folder {LONG}",
    f"evaluate {LONG}": f"There is no run folder {LONG}",
    f"evaluate images={LONG} data=digits": f"There is no folder or archive images={LONG}",
    f"import {LONG}": f"There is no file {LONG}",
    "evaluate nowhere real=no": "real must be true or false or null, got 'no'.",
    "evaluate images=flat data=digits features=classifier features.kimg=nan": "features.kimg must be a finite number",
    "evaluate nowhere ema=no": "There is no run folder nowhere.",
    "resume": "takes one run folder, got 0",
    "resume nowhere": "There is no run folder nowhere.",
    "resume empty": "empty has no config.yaml, so it is no run folder",
    "resume file": "file is a file, so it is no run folder",
    "sample nowhere": "There is no run folder nowhere.",
    "sample empty": "empty has no config.yaml, so it is no run folder",
    "train run.dir=file": "run.dir=file is a file",
    "train empty": "empty has no config.yaml",
    "train run.dir=": "run.dir",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with data that is wrong in several ways."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("not a folder")
    for name in ("empty", "text", "flat"):
        (tmp_path / name).mkdir()
    (tmp_path / "text" / "picture.png").write_text("this is no picture")
    picture = Image.fromarray(np.zeros((8, 8), np.uint8))
    for name in ("a.png", "b.png"):
        picture.save(tmp_path / "flat" / name)
    with zipfile.ZipFile("wrong.zip", "w") as archive:
        for name in ("a.png", "b.png"):
            archive.write(tmp_path / "flat" / name, name)
        archive.writestr("dataset.json", json.dumps({"labels": [["a.png", 0], ["c.png", 1]]}))
    whole = (tmp_path / "wrong.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    return tmp_path


@pytest.mark.parametrize("command", ["compare", "resume", "evaluate", "import"])
def test_an_empty_word_is_no_folder(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """As ``"$RUN"`` is where the shell has no such variable: it is not the current folder."""
    assert f"`ganlab {command}` takes a " in (sentence := refused(capsys, command, ""))
    assert f"got an empty word: ganlab {command} " in sentence


@pytest.mark.parametrize("line", WRONG)
def test_bad_input_ends_in_one_sentence_and_leaves_nothing_behind(
    place: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    before = sorted(place.rglob("*"))
    command, *words = line.split()
    if command == "train" and not any(w.startswith(("run.dir", "--", "hinge", "empty", LONG)) for w in words):
        model = (
            [] if any(w.startswith("model=") for w in words) else [w for w in TINY if not w.startswith("data.batch")]
        )
        words = [*model, *words, "run.dir=run"]
    sentence = refused(capsys, command, *words)
    assert WRONG[line] in sentence
    assert sorted(place.rglob("*")) == before


def test_several_mistakes_are_all_reported(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = refused(capsys, "train", "seed=x", "checkpoint.keep=-1", "run.dir=run")
    assert "seed must be" in sentence
    assert "checkpoint.keep must be" in sentence


def test_a_folder_that_holds_a_run_is_not_trained_over(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*")}
    sentence = refused(capsys, "train", *TINY, f"run.dir={copied}")
    assert "holds a run already: continue it with `ganlab resume" in sentence
    assert f"{copied} holds a run already" in refused(capsys, "train", str(copied))
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == before


def test_labels_that_the_model_needs_and_the_data_lacks_make_it_unconditional(place: Path) -> None:
    folder = session.start(
        compose.read([*TINY, "data=folder", "data.path=flat", "trainer.max_steps=1", "run.dir=run"])
    ).folder
    assert run_folder.read_config(folder).data.num_classes == 0


# --- a config.yaml that somebody has edited


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "config.yaml"
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "holds no configuration"),
        (b"- a\n- b\n", "holds no configuration"),
        (b"a: [1\n", "is no YAML"),
        (b"\xff\xfe\x00\x80", "holds no configuration"),
        (b"\xff\x00", "is no YAML"),
        (b"a: ${b}\n", r"a=\$\{b\}: it is read as it is written"),
        (b"a: 1\na: 2\n", "has the key 'a' twice"),
        (b"a: &x [1]\nb: [*x, *x]\n", "refers to a part of itself"),
        (b"a: !!set {b}\n", "a is of the type set"),
        (b"a: !!int x\n", "is no configuration of a run"),
        (b"[" * 3000, "is no YAML"),
        (b"a: " + b"9" * 5000 + b"\n", "is no configuration of a run"),
        (b"a: " + b"b" * 2**20, "it has 1,048,579 bytes"),
        (b"nonsense: 1\n", "must be a mapping|has no|is no option"),
        (b"!!python/object/apply:os.system ['touch ran']\n", "is no YAML"),
    ],
)
@pytest.mark.parametrize("command", ["resume", "sample"])
def test_a_config_that_is_none_is_refused(
    copied: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    text: bytes,
    words: str,
    command: str,
) -> None:
    import re

    monkeypatch.chdir(tmp_path)
    (copied / "config.yaml").write_bytes(text)
    assert re.search(words, refused(capsys, command, str(copied)))
    assert not (tmp_path / "ran").exists()


def leaves(node: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in node.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))


@pytest.mark.slow
def test_whatever_an_edited_config_holds_ends_in_a_sentence_or_works(
    copied: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each value of a run's configuration is replaced by nonsense of several kinds, and left out."""
    good = run_folder.read_config(finished).plain()
    monkeypatch.setattr(session, "_fit_with_sentences", lambda *a: None)
    tracebacks = []
    nonsense = [None, -3, "x", [1], {"a": {"b": 1}}, 1e400, "out"]
    for path in leaves(good):
        for value in nonsense:
            changed = copy.deepcopy(good)
            node = changed
            for key in path[:-1]:
                node = node[key]
            if value == "out":
                del node[path[-1]]
            else:
                node[path[-1]] = value
            for attempt in (_read_for_sampling, _read_for_resuming):
                try:
                    attempt(changed, copied)
                except GanlabError as error:
                    assert str(error)
                except Exception as error:
                    import traceback

                    where = traceback.extract_tb(error.__traceback__)[-1]
                    tracebacks.append(
                        f"{'.'.join(map(str, path))}={value!r}: {attempt.__name__}: "
                        f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
                    )
    assert not tracebacks, "\n".join(tracebacks)


def _read_for_sampling(content: dict[str, Any], folder: Path) -> None:
    experiment.build(configuration.checked(content), with_data=False)


def _read_for_resuming(content: dict[str, Any], folder: Path) -> None:
    config = configuration.checked(content)
    trainer.check(config.trainer)
    trainer.make(dict(config.trainer), [], [], AtomicCheckpointIO())


def test_a_component_that_does_not_exist_is_refused_with_the_nearest(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edited(copied, lambda c: c["loss"].update(component="hindge"))
    assert "No adversarial loss is called 'hindge'. Did you mean 'hinge'?" in refused(capsys, "sample", str(copied))
    assert "No adversarial loss is called 'hindge'. Did you mean 'hinge'?" in refused(capsys, "resume", str(copied))


@pytest.mark.parametrize("kind", ["generator", "loss", "data", "optimizer"])
def test_an_import_path_in_a_config_is_not_imported(
    copied: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "trap.py").write_text("from pathlib import Path\nPath('imported').touch()\nclass Trap: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def spring(content: dict[str, Any]) -> None:
        node = content[kind]["generator"] if kind == "optimizer" else content[kind]
        node.update(component="trap:Trap", _target_="trap.Trap")

    edited(copied, spring)
    for command, *more in (("resume", "trainer.max_steps=9"), ("sample",)):
        if (command, kind) != ("sample", "data"):
            assert "trap:Trap" in refused(capsys, command, str(copied), *more)
    assert not (tmp_path / "imported").exists()


def test_a_trainer_option_of_ganlabs_in_an_edited_config_is_refused(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edited(copied, lambda c: c["trainer"].update(strategy="ddp", max_steps=9))
    assert "trainer.strategy is ganlab's own business: use trainer.devices=N" in refused(capsys, "resume", str(copied))


def test_sampling_needs_neither_data_nor_loggers(copied: Path) -> None:
    edited(copied, lambda c: (c["data"].update(component="folder", path="/gone"), c.update(logger={"wandb": {}})))
    assert Run(copied).sample(2).shape[0] == 2
