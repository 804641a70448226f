"""Callbacks and loggers of plug-ins: several at once, in their order, resumed, exchanged; those that fail."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import yaml
from lightning.pytorch.loggers.logger import Logger
from support.distributions import install
from support.runs import TINY, Start, Train, assert_bit_equal, metrics, state

import ganlab
from ganlab import cli
from ganlab.core import kinds, registry
from ganlab.core.errors import GanlabError
from ganlab.runs import checkpoints, session

CALLS: list[tuple[str, str]] = []


class Counting(L.Callback):
    """Counts iterations, and keeps the mean of a scalar.

    Args:
        name: Of what it counts.
        every: Interval in iterations.
    """

    cost = "one addition an iteration"

    def __init__(self, run: ganlab.RunContext, name: str = "n", every: int = 1) -> None:
        self.run, self.name, self.every = run, name, every
        self.count, self.sums = 0, torch.zeros(())

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        CALLS.append(("counting", "batch"))
        self.count += 1
        self.sums += self.run.scalars["discriminator/adversarial"]
        (self.run.folder / "counted.txt").write_text(f"{self.name} {self.count}\n")

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "sums": self.sums}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.count, self.sums = state_dict["count"], state_dict["sums"]


class Early(L.Callback):
    """Acts before the others."""

    order = 5

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        CALLS.append(("early", "batch"))


class Failing(L.Callback):
    """Fails in a hook.

    Args:
        hook: Which one.
        at: After so many iterations.
        sentence: Raise this as a sentence of ganlab's.
    """

    def __init__(
        self, run: ganlab.RunContext, hook: str = "on_train_batch_end", at: int = 3, sentence: str = ""
    ) -> None:
        def fail(trainer: Any, pl_module: Any, *rest: Any, **others: Any) -> None:
            CALLS.append(("failing", hook))
            if pl_module.progress.iteration >= at:
                raise GanlabError(sentence) if sentence else KeyError("no such\nthing")

        self.fail, self.hook = fail, hook

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        if self.hook == "setup":
            self.fail(trainer, pl_module)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if self.hook == "on_train_start":
            self.fail(trainer, pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.hook == "on_train_batch_end":
            self.fail(trainer, pl_module)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if self.hook == "on_train_end":
            self.fail(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"held": {1, 2}} if self.hook == "state_dict" else {}


class Noting(Logger):
    """Notes what it is given.

    Args:
        fails: Raise this of Python's errors when numbers come.
    """

    def __init__(self, save_dir: Path, fails: str = "") -> None:
        super().__init__()
        self.folder, self.fails = Path(save_dir), fails

    name, version = "noting", 0

    def log_hyperparams(self, params: Any, *arguments: Any, **options: Any) -> None:
        (self.folder / "noted.txt").write_text(f"seed {params['seed']}\n")

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if self.fails:
            raise getattr(__import__("builtins"), self.fails)("it is so")
        with (self.folder / "noted.txt").open("a") as file:
            file.write(f"{step} {metrics['generator/adversarial']:.6g}\n")


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    callbacks = {"counting": Counting, "early": Early, "failing": Failing}
    monkeypatch.setattr(
        registry, "_registered", {**{("callback", n): c for n, c in callbacks.items()}, ("logger", "noting"): Noting}
    )
    CALLS.clear()


def counted(folder: Path, name: str = checkpoints.LAST) -> Any:
    return checkpoints.load(folder / "checkpoints" / name)["callbacks"].get("Counting")


def test_several_act_in_their_order_with_their_options(train: Train) -> None:
    folder = train("callback=[counting,early]", "callback.counting.name=x", "logger=[noting,csv]", steps=2)
    assert CALLS == [("early", "batch"), ("counting", "batch")] * 2
    assert (folder / "counted.txt").read_text() == "x 2\n"
    noted = [f"{round(1000 * line['kimg'])} {line['generator/adversarial']:.6g}" for line in metrics(folder)]
    assert (folder / "noted.txt").read_text().splitlines() == ["seed 0", *noted]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["callback"] == {
        "counting": {"component": "counting", "name": "x", "every": 1},
        "early": {"component": "early"},
    }
    assert config["logger"]["noting"] == {"component": "noting", "fails": ""}


def test_callbacks_change_nothing_that_is_trained_and_resume_with_their_state(train: Train) -> None:
    """Saving comes after them, so a checkpoint of an iteration holds what they did in it."""
    words = ("callback=counting", "checkpoint.every_steps=1")
    plain = train(name="plain", steps=6)
    whole = train(*words, name="whole", steps=6)
    assert_bit_equal(state(whole), state(plain))
    half = train(*words, name="half", steps=3)
    assert counted(half)["count"] == 3
    session.resume(half, {"trainer.max_steps": 6})
    assert_bit_equal(counted(half), counted(whole))
    assert_bit_equal(state(half), state(whole))


def test_a_resumed_run_may_have_other_callbacks_and_loggers(train: Train) -> None:
    folder = train("callback=counting", "callback.counting.every=2", "logger=noting", steps=2)
    changes: dict[str, Any] = {"callback": ["early", "counting"], "callback.counting.name": "y", "logger": "csv"}
    session.resume(folder, {"trainer.max_steps": 4, **changes})
    assert counted(folder)["count"] == 4
    assert (folder / "counted.txt").read_text() == "y 4\n"
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["callback"]["counting"] == {"component": "counting", "name": "y", "every": 2}
    assert [*config["callback"], *config["logger"]] == ["early", "counting", "csv"]
    session.resume(folder, {"trainer.max_steps": 5, "callback": "none", "logger": None})
    assert counted(folder) is None
    whole = train(name="whole", steps=5)
    assert_bit_equal(state(folder), state(whole))
    with pytest.raises(GanlabError, match=r"No callback is called 'eraly'.* Did you mean 'early'"):
        session.resume(folder, {"trainer.max_steps": 6, "callback": "eraly"})
    with pytest.raises(GanlabError, match=r"callback names 'early' twice"):
        session.resume(folder, {"trainer.max_steps": 6, "callback": ["early", "early"]})


def test_what_every_run_has_cannot_come_in_by_another_name(copied: Path) -> None:
    path = copied / "config.yaml"
    path.write_text(path.read_text().replace("callback: {}", "callback: {mine: {component: stopping}}"))
    with pytest.raises(GanlabError, match=r"The callback 'stopping' is part of every run"):
        session.resume(copied, {"trainer.max_steps": 5})


def test_a_run_from_before_there_were_callbacks_goes_on_with_its_loggers(copied: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is missing")
    path = copied / "config.yaml"
    config = yaml.safe_load(path.read_text())
    del config["callback"]
    config["logger"] = {"tensorboard": {"version": ""}}
    path.write_text(yaml.safe_dump(config))
    session.resume(copied, {"trainer.max_steps": 6, "logger.tensorboard.flush_secs": 1})
    assert list((copied / "tensorboard").glob("events.*"))
    assert yaml.safe_load(path.read_text())["logger"]["tensorboard"]["component"] == "tensorboard"


REFUSED = {
    "callback=grids": r"The callback 'grids' is part of every run: set its options as sample\.OPTION=VALUE\.",
    "callback=stopping": r"The callback 'stopping' is part of every run, and it has no options\.",
    "callback.grids.keep=3": r"The callback 'grids' is part of every run: set its options as sample\.",
    "callback=cuonting": r"No callback is called 'cuonting'\. Did you mean 'counting'\?",
    "callback=[counting,counting]": r"callback names 'counting' twice",
    "callback.counting.name=x": r"has no effect because the callback 'counting' is not in use: add it",
    "callback=counting callback.counting.evry=2": r"'callback\.counting\.evry' is no option\. Did you mean 'callback\.",
    "callback=counting callback.counting.every=often": r"callback\.counting\.every must be a whole number, got 'often'",
    "trainer.callbacks=[]": r"trainer\.callbacks is ganlab's own business: use callback=NAME",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_is_refused_before_a_folder_is_made(train: Train, tmp_path: Path, words: str) -> None:
    with pytest.raises(GanlabError, match=REFUSED[words]):
        train(*words.split())
    assert not (tmp_path / "run").exists()


class NeedsPackage(L.Callback):
    def __init__(self) -> None:
        import no_such_package  # type: ignore[import-not-found]  # noqa: F401


class Broken(L.Callback):
    def __init__(self, number: float = 1.0) -> None:
        raise LookupError("of its author")


class Elsewhere(Logger):
    name, version = "elsewhere", 0

    def __init__(self, save_dir: str, sub: str = "..") -> None:
        super().__init__()
        self._where = f"{save_dir}/{sub}"

    @property
    def log_dir(self) -> str:
        return self._where

    def log_hyperparams(self, *arguments: Any, **options: Any) -> None: ...

    def log_metrics(self, *arguments: Any, **options: Any) -> None: ...


@pytest.mark.parametrize(("kind", "component", "words", "sentence"), [
    ("callback", NeedsPackage, (), r"callback\.odd needs a package that is not installed: pip install no_such_package"),
    ("callback", Broken, (), r"callback\.odd cannot be made: LookupError: of its author\."),
    ("callback", Broken, ("callback.odd.number={from:1,to:2,end_steps:3}",), r"number cannot follow a schedule"),
    ("callback", Path, (), r"callback\.odd: \w*Path is no lightning\.pytorch\S*Callback, and so is no callback"),
    ("logger", Early, (), r"logger\.odd: Early is no lightning\.pytorch\.loggers\.logger\.Logger, and so is no logger"),
    ("logger", Elsewhere, (), r"logger\.odd: its options lead to \S+/\.\., which is not in the run's folder"),
])  # fmt: skip
def test_one_that_cannot_be_made_is_refused(
    train: Train, tmp_path: Path, kind: str, component: Any, words: tuple[str, ...], sentence: str
) -> None:
    registry._registered[kind, "odd"] = component
    with pytest.raises(GanlabError, match=sentence):
        train(f"{kind}=odd", *words)
    assert not (tmp_path / "run").exists()


# --- failures


@pytest.mark.parametrize(("hook", "done"), [
    ("setup", 0), ("on_train_start", 0), ("on_train_batch_end", 3), ("on_train_end", 6), ("state_dict", 4),
])  # fmt: skip
def test_one_that_fails_ends_the_run_with_a_sentence_and_a_checkpoint(
    train: Train, tmp_path: Path, capfd: pytest.CaptureFixture[str], hook: str, done: int
) -> None:
    words = ("callback=[counting,failing]", f"callback.failing.hook={hook}", "checkpoint.every_steps=4")
    at = 0 if done == 0 else 3
    folder = tmp_path / "run"
    code = 0
    try:
        cli.main(["train", *TINY, *words, f"callback.failing.at={at}", "trainer.max_steps=6", f"run.dir={folder}"])
    except SystemExit as ended:
        code = int(str(ended.code))
    assert code == 1
    err = capfd.readouterr().err
    said = "TypeError: the state of a callback" if hook == "state_dict" else "KeyError: 'no such\\nthing'"
    assert f"ganlab: callback.failing failed in {hook}, so the run has ended after iteration {done}: {said}" in err
    (trace,) = folder.glob("traceback_*.txt")
    assert f"The traceback is in {trace}." in err
    assert "line" in trace.read_text()
    assert state(folder)["ganlab"]["progress"]["iteration"] == done
    if done == 6:
        assert "The run has its length." in err
        return
    assert (
        f"Continue with `ganlab resume {folder}`, or without it: `ganlab resume {folder} callback='[counting]'`." in err
    )
    assert cli.dispatch(["resume", str(folder), "callback=[counting]"]) == 0
    whole = train("callback=counting", name="whole", steps=6)
    assert_bit_equal(state(folder), state(whole))
    assert metrics(folder) == metrics(whole)


def test_an_error_that_a_callback_raises_for_the_user_is_printed_with_exit_code_2(train: Train, tmp_path: Path) -> None:
    with pytest.raises(
        GanlabError, match=r"^callback\.failing has ended the run: It is good enough\. Contin"
    ) as caught:
        train("callback=failing", "callback.failing.sentence=It is good enough", steps=6)
    assert caught.value.exit_code == 2
    assert state(tmp_path / "run")["ganlab"]["progress"]["iteration"] == 3
    assert not list((tmp_path / "run").glob("traceback_*"))


def test_the_page_has_the_order_of_what_every_run_has() -> None:
    page = (Path(__file__).parents[2] / "docs/callbacks.md").read_text()
    for name in kinds.of("callback").always:
        assert f"| `{name}` | {registry.load('callback', name).order} | " in page


def test_the_callback_of_the_page_ends_a_run_with_its_sentence(train: Train) -> None:
    page = Path(__file__).parents[2] / "docs/callbacks.md"
    code = page.read_text().partition("```python\n")[2].partition("```")[0]
    made: dict[str, Any] = {}
    exec(code, made)
    registry._registered["callback", "threshold"] = made["Threshold"]
    train("callback=threshold", name="goes_on", steps=2)
    with pytest.raises(
        GanlabError, match=r"callback\.threshold has ended the run: the discriminator has won: take reg=r1"
    ):
        train("callback=threshold", "callback.threshold.least=100", steps=2)


def test_a_logger_that_fails_ends_the_run_and_one_whose_disk_is_full_does_not(
    train: Train, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        GanlabError, match=r"logger\.noting failed in log_metrics, .* ValueError: it is so\. .* logger=none"
    ):
        train("logger=noting", "logger.noting.fails=ValueError")
    assert state(tmp_path / "run")["ganlab"]["progress"]["iteration"] == 1
    folder = train("logger=noting", "logger.noting.fails=OSError", name="full")
    assert state(folder)["ganlab"]["progress"]["iteration"] == 4
    assert capfd.readouterr().err.count("logger.noting cannot be written (it is so): training goes on.") == 1


# --- states of callbacks in a checkpoint of somebody else


@pytest.mark.parametrize("damage", ["x", [1], {"count": {1, 2}}, {"count": torch.ones(2).to("meta")}])
def test_a_state_that_is_no_data_is_refused(train: Train, damage: Any) -> None:
    folder = train("callback=counting", steps=2)
    path = folder / "checkpoints/last.ckpt"
    content = torch.load(path, weights_only=True)
    content["callbacks"]["Counting"] = damage
    torch.save(content, path)
    with pytest.raises(GanlabError, match=r"the state of the callback 'Counting' is no mapping of numbers"):
        session.resume(folder, {"trainer.max_steps": 4})
    session.resume(folder, {"trainer.max_steps": 4, "callback": "none"})  # which does not use it


def test_a_state_that_its_callback_cannot_use_ends_the_run_before_it_goes_on(train: Train) -> None:
    folder = train("callback=counting", steps=2)
    path = folder / "checkpoints/last.ckpt"
    content = torch.load(path, weights_only=True)
    content["callbacks"]["Counting"] = {"other": 1}
    torch.save(content, path)
    with pytest.raises(
        GanlabError, match=r"callback\.counting failed in load_state_dict, .* after iteration 2: KeyError"
    ):
        session.resume(folder, {"trainer.max_steps": 4})
    assert state(folder)["ganlab"]["progress"]["iteration"] == 2


# --- Lightning's own, by an entry point alone


@pytest.fixture
def lightnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (tmp_path / "site").mkdir()
    callbacks, loggers = "lightning.pytorch.callbacks", "lightning.pytorch.loggers"
    install(
        tmp_path / "site", "lightnings", {},
        f"[ganlab.callbacks]\nrates = {callbacks}:LearningRateMonitor\nbar = {callbacks}:RichProgressBar\n"
        f"keeping = {callbacks}:ModelCheckpoint\n[ganlab.loggers]\ntable = {loggers}:CSVLogger\n",
    )  # fmt: skip
    registry.forget()
    yield
    monkeypatch.undo()
    registry.forget()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*no learning rate schedulers.*", "ignore:.*Experiment logs directory.*")
def test_lightnings_own_work_by_an_entry_point(
    lightnings: None, train: Train, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = [
        "callback=[rates,bar,keeping]",
        "callback.rates.logging_interval=step",
        "callback.keeping.every_n_train_steps=1",
        "callback.keeping.monitor=generator/adversarial",
    ]
    folder = train(*words, "logger=table", "logger.table.name=tables", "logger.table.flush_logs_every_n_steps=1")
    with (folder / "tables/version_0/metrics.csv").open() as file:
        columns = set(csv.DictReader(file).fieldnames or ())
    assert {"generator/adversarial", "lr-Adam", "lr-Adam-1"} <= columns
    values = {line["iteration"]: line["generator/adversarial"] for line in metrics(folder)}
    kept = [path.stem.rpartition("=")[2] for path in (folder / "keeping").glob("*.ckpt")]
    assert kept == [str(min(values, key=lambda iteration: values[iteration]))]
    assert {path.name for path in tmp_path.iterdir()} == {"run", "site"}
    session.resume(folder, {"trainer.max_steps": 6})
    assert state(folder)["ganlab"]["progress"]["iteration"] == 6
    capfd.readouterr()
    assert cli.dispatch(["show", "callback", "rates"]) == 0
    out = capfd.readouterr().out
    assert "callback.rates.logging_interval=null" in out
    assert "cost: not stated" in out
    assert cli.dispatch(["show", "callback", "bar"]) == 0
    out = capfd.readouterr().out
    assert "callback.bar.refresh_rate=1" in out
    assert "theme" not in out.partition("Options")[2]
    with pytest.raises(GanlabError, match=r"'logger\.table\.save_dir' is no option"):
        train("logger=table", "logger.table.save_dir=/tmp", name="other")
    with pytest.raises(GanlabError, match=r"logger\.table: its options lead to"):
        train("logger=table", "logger.table.name=../..", name="other")


# --- several processes

ON_ONE_RANK = """
import lightning as L

class Failing(L.Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_rank == 1 and pl_module.progress.iteration == 3:
            raise LookupError("on one rank")
"""


@pytest.mark.slow
def test_one_that_fails_on_one_rank_ends_all_at_the_same_iteration(tmp_path: Path, command: Start) -> None:
    site = tmp_path / "site"
    site.mkdir()
    install(site, "one-rank", {"one_rank.py": ON_ONE_RANK}, "[ganlab.callbacks]\none_rank = one_rank:Failing\n")
    folder = tmp_path / "run"
    words = [*TINY, "trainer.devices=2", "callback=one_rank", "logger=csv", "trainer.max_steps=9", f"run.dir={folder}"]
    code, _, err = command("train", *words, PYTHONPATH=str(site)).end()
    assert code == 1, err
    assert (
        err.count("callback.one_rank failed in on_train_batch_end, so the run has ended after iteration 3: Looku") == 1
    )
    (trace,) = folder.glob("traceback_*.txt")
    assert f"The traceback is in {trace}." in err
    assert "Traceback" not in err
    assert state(folder)["ganlab"]["progress"]["iteration"] == 3
    assert [line["iteration"] for line in metrics(folder)] == [1, 2, 3]
