"""A file of the user's own: its classes are components where the command names it, and nowhere else."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from support.runs import TINY, Start, state

import ganlab
from ganlab import cli
from ganlab.config import code_words, compose
from ganlab.core import code_files, registry
from ganlab.core.errors import GanlabError
from ganlab.runs.sweeps.record import Sweep

MINE = '''
"""Parts of one's own."""

from os import system
from pathlib import Path

import lightning as L
import torch
from torch import nn

from ganlab.metrics.spectrum import RadialSpectrum


class MyGenerator(nn.Module):
    """One layer.

    Args:
        width: Channels.
    """

    def __init__(self, image_size: int, image_channels: int, width: int = 4, latent_dim: int = 8) -> None:
        super().__init__()
        self.latent_dim, self.shape = latent_dim, (image_channels, image_size, image_size)
        pixels = image_channels * image_size**2
        self.net = nn.Sequential(nn.Linear(latent_dim, width), nn.ReLU(), nn.Linear(width, pixels))

    def forward(self, z):
        return self.net(z).tanh().unflatten(1, self.shape)


class MyCallback(L.Callback):
    """Say a word.

    Args:
        word: Which.
    """

    def __init__(self, word: str = "hello") -> None:
        self.word = word

    def on_fit_start(self, trainer, pl_module) -> None:
        print("said", self.word)


class MyMetric(RadialSpectrum):
    """A metric of one's own."""


def my_sgd(params, lr: float = 0.01):
    """Stochastic gradient descent."""
    return torch.optim.SGD(params, lr)


def helper(path: str):
    Path(path).write_text("run")
'''
READERS = [
    ("resume", "RUN", "trainer.max_steps=5"), ("sample", "RUN"), ("evaluate", "RUN", "metrics=spectrum", "samples=20"),
    ("watch", "RUN", "what=diversity"), ("train", "init=RUN"), ("train", "RUN", "run.dir=again"), ("compare", "RUN"),
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with my_file.py and the run that was trained with its classes; not to be changed."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_file.py").write_text(MINE)
    mine = folder / "my_file.py"
    cli.dispatch([
        "train", *TINY, f"generator={mine}:MyGenerator", f"callback=[{mine}:MyCallback]",
        f"optimizer/generator={mine}:my_sgd", "generator.width=6", "callback.MyCallback.word=hi",
        "optimizer.generator.lr=0.1", "trainer.max_steps=2", f"run.dir={folder / 'run'}",
    ])  # fmt: skip
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    shutil.copytree(made, tmp_path / "own")
    monkeypatch.chdir(tmp_path / "own")
    return tmp_path / "own"


def test_a_run_keeps_the_name_and_the_hash_of_a_file_and_its_options(made: Path) -> None:
    config = yaml.safe_load((made / "run/config.yaml").read_text())
    assert config["generator"] == {"component": "my_file.py:MyGenerator", "width": 6, "latent_dim": 8}
    assert config["callback"] == {"MyCallback": {"component": "my_file.py:MyCallback", "word": "hi"}}
    assert config["optimizer"]["generator"] == {"component": "my_file.py:my_sgd", "lr": 0.1}
    assert config["code"] == {"my_file.py": hashlib.sha256(MINE.encode()).hexdigest()}
    assert str(made / "my_file.py") not in (made / "run/config.yaml").read_text()


@pytest.mark.parametrize("words", READERS, ids=lambda words: " ".join(words[:2]))
def test_a_command_refuses_such_a_run_until_it_names_the_file(here: Path, words: tuple[str, ...]) -> None:
    typed = [word.replace("RUN", "run") for word in words]
    with pytest.raises(GanlabError, match=r"a file of one's own is run only if the command itself names it: add code="):
        cli.dispatch(typed)
    (here / "my_file.py").write_text(MINE + "\n")
    with pytest.raises(GanlabError, match=r"is not the my_file.py that .* was made with .*code.changed=accept"):
        cli.dispatch([*typed, "code=my_file.py"])


def test_in_python_a_run_knows_its_files_and_load_asks_for_them(here: Path) -> None:
    with pytest.raises(GanlabError, match="add code="):
        ganlab.load("run")
    run = ganlab.load("run", code="my_file.py")
    assert run.sample(2).shape == (2, 1, 8, 8)
    assert run.resume(trainer={"max_steps": 3}).iteration == 3
    assert not code_files.allowed().files


@pytest.mark.parametrize("name", [
    "my_file.py:helper", "my_file.py:system", "my_file.py:Path", "my_file.py:os.system", "os:system", "evil.py:Evil",
    "/evil.py:Evil", "../own/evil.py:Evil",
])  # fmt: skip
@pytest.mark.parametrize("where", ["generator", "callback"])
def test_nothing_in_a_run_folder_makes_ganlab_run_other_code(here: Path, name: str, where: str) -> None:
    (here / "evil.py").write_text("open('ran', 'w').close()\nclass Evil: pass\n")
    config = yaml.safe_load((here / "run/config.yaml").read_text())
    node = {"component": name, "path": str(here / "ran"), "command": f"touch {here / 'ran'}"}
    config[where] = node if where == "generator" else {"Evil": node}
    config["code"] = {"evil.py": hashlib.sha256((here / "evil.py").read_bytes()).hexdigest(), **config["code"]}
    (here / "run/config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(GanlabError):
        cli.dispatch(["resume", "run", "code=my_file.py", "trainer.max_steps=3"])
    assert not (here / "ran").exists()


@pytest.mark.parametrize(("words", "said"), [
    (["generator=no.py:A"], "There is no file no.py."),
    (["generator=my_file.py"], "names no class of the file: write generator=my_file.py:CLASS, of MyGenerator"),
    (["generator=my_file.py.MyGenerator"], "names no class of the file"),
    (["model=my_file.py:MyGenerator"], "model= names a preset"),
    (["generator=syntax.py:A"], "syntax.py, line 2 is no Python"),
    (["generator=run/inside.py:A"], "lies in the run folder run, and a run folder is data"),
    (["generator=my file.py:A"], "letters, digits, _ and -: rename it"),
    (["generator=sub/my_file.py:MyGenerator", "callback=my_file.py:MyCallback"], "have one name: rename one of them"),
    (["callback=[my_file.py:MyCallback,my_file.py:MyCallback]"], "callback names 'MyCallback' twice"),
    (["generator=my_file.py:"], "names no class of the file"),
    (["code=my_file.py"], "code=my_file.py has no effect: the run uses no class of it"),
    (["code=my_file.py", "code=other.py"], "code= is given twice"),
    (["code=[my_file.py,my_file.py]"], "names my_file.py twice"),
    (["code=my_file.py:MyGenerator"], "it takes the file alone, code=my_file.py"),
    (["code="], "code= wants a file"),
    (["code.changed=yes"], "code.changed must be accept"),
    (["generator=my_file.py:MyGenerator", "generator.widht=3"], "Did you mean 'generator.width'"),
])  # fmt: skip
def test_a_wrong_name_is_one_sentence(here: Path, words: list[str], said: str) -> None:
    (here / "syntax.py").write_text("x = 1\ndef f(:\n")
    for name in ("run/inside.py", "my file.py", "other.py", "sub/my_file.py"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(MINE)
    with pytest.raises(GanlabError) as error:
        cli.dispatch(["train", *TINY, *words])
    assert said in str(error.value)


@pytest.mark.parametrize(("kind", "name", "said"), [
    ("generator", "NoClass", "my_file.py defines no class 'NoClass'. It defines MyGenerator, MyCallback"),
    ("generator", "system", "defines no class 'system'"),
    ("generator", "Path", "defines no class 'Path'"),
    ("loss", "MyGenerator", "is no adversarial loss: it has no method discriminator and no generator"),
    ("generator", "MyCallback", "is no generator: it has no method parameters"),
    ("callback", "MyGenerator", "is no callback: it has no method on_fit_start"),
    ("optimizer", "helper", "is a function, and no optimizer: name a class of it"),
    ("generator", "my_sgd", "is a function, and no generator"),
])  # fmt: skip
def test_a_class_of_another_kind_is_one_sentence(made: Path, kind: str, name: str, said: str) -> None:
    with code_files.session():
        code_files.allow([made / "my_file.py"])
        with pytest.raises(GanlabError) as error:
            registry.load(kind, f"my_file.py:{name}")
    assert said in str(error.value)


@pytest.mark.parametrize(("text", "said"), [
    ("1 / 0", "line 1: it cannot be imported: ZeroDivisionError: division by zero."),
    ("import sys\nsys.exit(3)", "line 2: it ends Python while it is imported"),
    ("import beside", "A file is imported alone: put what it needs of beside.py into it"),
])  # fmt: skip
def test_a_file_that_fails_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "beside.py").touch()
    (tmp_path / "fails.py").write_text(f"{text}\nclass A: pass\n")
    with code_files.session():
        code_files.allow([tmp_path / "fails.py"])
        with pytest.raises(GanlabError) as error:
            registry.load("loss", "fails.py:A")
    assert said in str(error.value)


def test_a_file_that_ends_the_process_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text("import os\nos._exit(3)\nclass A: pass\n")
    with code_files.session(), pytest.raises(GanlabError, match=r"it ends Python with exit code 3. Put what ends.py"):
        compose.read(code_words.allowed([*TINY, f"loss={tmp_path / 'ends.py'}:A"]))


def test_words_with_files_in_lists_and_sweeps_keep_their_other_names(here: Path) -> None:
    words = ["generator=my_file.py:MyGenerator,mlp", f'callback=["{here}/my_file.py:MyCallback",x]', "data.path=a.py:b"]
    with code_files.session():
        assert code_words.allowed(words) == [
            "generator=my_file.py:MyGenerator,mlp", "callback=[my_file.py:MyCallback,x]", "data.path=a.py:b"
        ]  # fmt: skip
        assert code_words.typed(["mlp"]) == []
        assert code_words.typed(["mlp", "my_file.py:MyGenerator"]) == [f'code=["{here}/my_file.py"]']


def test_show_and_help_have_the_options_of_a_class(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.dispatch(["show", "generator=my_file.py:MyGenerator"])
    assert "generator.width=4" in capsys.readouterr().out
    cli.dispatch(["train", "callback=my_file.py:MyCallback", "--help", "callback"])
    assert "my_file.py:MyCallback" in capsys.readouterr().out


@pytest.mark.slow
def test_jobs_and_ranks_of_a_sweep_run_the_file_and_its_record_does_not(here: Path, command: Start) -> None:
    mine, sweep = here / "my_file.py", here / "sweep"
    words = [f"generator={mine}:MyGenerator,dcgan", "trainer.devices=2", "trainer.max_steps=2", "data.num_classes=0"]
    code, _, err = command("train", "-m", *TINY, *words, f"callback={mine}:MyCallback", f"run.dir={sweep}").end(600)
    assert code == 0, err
    first, second = Sweep.read(sweep).jobs()
    assert [state(sweep / job.folder)["ganlab"]["progress"]["iteration"] for job in (first, second)] == [2, 2]
    shutil.rmtree(sweep / second.folder)
    Sweep.read(sweep).update(1, state="queued")
    with pytest.raises(GanlabError, match="add code="):
        cli.dispatch(["resume", str(sweep)])
    code, _, err = command("resume", str(sweep), f"code={mine}").end(600)
    assert code == 0, err
    assert (sweep / second.folder / "checkpoints/last.ckpt").exists()


@pytest.mark.slow
def test_a_metric_of_a_file_is_in_the_record_with_its_hash(here: Path) -> None:
    cli.dispatch(
        ["evaluate", "run", "metrics=my_file.py:MyMetric", "samples=20", "code=my_file.py", "MyMetric.blocks=4"]
    )
    record = json.loads((here / "run/evaluation.jsonl").read_text().splitlines()[0])
    assert record["protocol"]["metrics"] == {"my_file.py:MyMetric": {"blocks": 4}}
    assert record["protocol"]["code"] == {"my_file.py": hashlib.sha256(MINE.encode()).hexdigest()}


def test_bench_refuses_a_file_that_it_does_not_use(here: Path) -> None:
    with pytest.raises(GanlabError, match=r"code=my_file.py has no effect: the run uses no class of it"):
        cli.dispatch(["bench", *TINY, "code=my_file.py", "warmup=0", "iterations=1"])


def test_an_export_of_such_a_run_is_sampled_where_the_file_is_named(here: Path) -> None:
    """Its network is called as (z), so that the run's weights lie under ``network.``."""
    assert cli.dispatch(["export", "run", "code=my_file.py", "format=safetensors", "out=g.safetensors"]) == 0
    with pytest.raises(GanlabError, match=r"add code="):
        cli.dispatch(["sample", "g.safetensors", "count=2"])
    exported: ganlab.Run = ganlab.load("g.safetensors", code="my_file.py")
    run = ganlab.load("run", code="my_file.py")
    torch.testing.assert_close(exported.sample(2), run.sample(2))


def test_a_command_that_names_the_file_goes_on(here: Path) -> None:
    assert cli.dispatch(["sample", "run", "code=my_file.py", "count=4"]) == 0
    assert cli.dispatch(["page", "run"]) == 0  # it builds nothing


@pytest.mark.slow  # another process reads the options of the changed file
def test_a_changed_file_is_taken_where_the_command_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "my_file.py").write_text(MINE.replace('"said"', '"shouted"'))
    assert cli.dispatch(["resume", "run", "code=my_file.py", "code.changed=accept", "trainer.max_steps=3"]) == 0
    assert "shouted hi" in capsys.readouterr().out
    config = yaml.safe_load((here / "run/config.yaml").read_text())
    assert config["code"]["my_file.py"] == hashlib.sha256((here / "my_file.py").read_bytes()).hexdigest()
