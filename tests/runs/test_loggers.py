"""Loggers: scalars and grids at the images seen; no network."""

import csv
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
from support.disk import fill
from support.runs import TINY, Train, metrics

from ganlab.config import compose
from ganlab.contracts.callback import RunContext
from ganlab.contracts.plan import Progress
from ganlab.core.errors import GanlabError
from ganlab.runs import session
from ganlab.runs.loggers import wandb
from ganlab.runs.loggers.csv import CSV


def events(folder: Path) -> tuple[list[tuple[str, int, float]], list[tuple[str, int, int, int]]]:
    """(tag, step, value) of all scalars and (tag, step) of all images."""
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is missing"
    )
    log = reader.EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    log.Reload()
    scalars = [(tag, e.step, e.value) for tag in log.Tags()["scalars"] for e in log.Scalars(tag)]
    images = [(tag, e.step, e.width, e.height) for tag in log.Tags()["images"] for e in log.Images(tag)]
    return scalars, images


def check_tensorboard(folder: Path) -> None:
    scalars, images = events(folder)
    lines = metrics(folder)
    for name in ("discriminator/adversarial", "generator/adversarial", "generator/learning_rate"):
        found = {step: value for tag, step, value in scalars if tag == name}
        assert found == pytest.approx({round(1000 * line["kimg"]): line[name] for line in lines}, rel=1e-4)
    assert images == [("samples", step, 20 + 2 + 34, 2 + 10 * 34) for step in (16, 32)]  # a caption, an image a row


def check_wandb(folder: Path) -> None:
    runs = list((folder / "wandb").glob("offline-run-*"))
    assert len(runs) == 1
    log = next(runs[0].glob("*.wandb")).read_bytes()
    for line in metrics(folder):
        assert [name for name in line if "/" in name and name.encode() not in log] == []
    assert len(list(runs[0].glob("files/media/images/*.png"))) == 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_gets_scalars_and_grids_at_the_images_seen(train: Train) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is missing")
    check_tensorboard(train("logger=tensorboard", "sample.every_steps=2"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_gets_the_configuration_as_hyper_parameters(train: Train) -> None:
    plugin = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2", reason="tensorboard is missing")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder = train("logger=tensorboard", "seed=3")
    log = reader.EventAccumulator(str(folder / "tensorboard"))
    log.Reload()
    found = plugin.HParamsPluginData.FromString(log.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    hparams = found.session_start_info.hparams
    assert hparams["seed"].number_value == 3
    assert hparams["optimizer/generator/lr"].number_value == 2e-4
    assert hparams["loss/component"].string_value == "hinge"
    assert "seed: 3" in (folder / "tensorboard" / "hparams.yaml").read_text()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # W&B's own
def test_both_at_once_with_wandb_offline(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is missing")
    service = pytest.importorskip("wandb", reason="wandb is missing")
    monkeypatch.setenv("WANDB_SILENT", "true")
    try:
        folder = train(
            "logger=[tensorboard,wandb]", "logger.wandb.offline=true", "sample.every_steps=2", "guard.every_steps=2",
            "watch=[spectra,gradients]", "watch.every_steps=2",
        )  # fmt: skip
    finally:
        service.finish()
    check_tensorboard(folder)
    check_wandb(folder)
    names = {name.split("/")[0] for line in metrics(folder) for name in line}
    assert {"guard", "spectra", "gradients"} <= names


def test_a_resumed_run_goes_on_with_the_wandb_run_that_it_had(tmp_path: Path) -> None:
    assert wandb.run_of(tmp_path) is None
    for order, name in enumerate(("offline-run-20261121_084500-first", "run-20261121_090000-a-second", "latest-run")):
        (tmp_path / "wandb" / name).mkdir(parents=True)
        os.utime(tmp_path / "wandb" / name, (order, order))
    assert wandb.run_of(tmp_path) == "a-second"


def test_wandb_without_a_login_is_refused(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is missing")
    for name in [n for n in os.environ if n.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "no netrc"))
    monkeypatch.setattr(wandb, "logged_in", lambda wandb: False)
    with pytest.raises(GanlabError, match="nobody is logged in to Weights & Biases here: run `wandb login`, or keep"):
        train("logger=wandb")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_wandb_in_a_mode_that_sends_nothing_needs_no_login(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="wandb is missing")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(wandb, "logged_in", lambda wandb: False)
    wandb.WeightsAndBiases(RunContext(tmp_path), mode=mode)


def test_an_unknown_logger_or_option_is_refused(train: Train, tmp_path: Path) -> None:
    sentences = {
        "logger=tensorbord": r"No logger is called 'tensorbord'. Did you mean 'tensorboard'",
        "logger=[csv,csv]": r"logger names 'csv' twice. Name it once and set its options as logger\.csv\.OPTION=VALUE",
        "logger=csv logger.csv.seperator=x": r"'logger\.csv\.seperator' is no option. Did you mean 'logger\.csv\.separ",
        "logger=csv logger.csv.separator=xx": r"logger\.csv: separator must be one sign",
    }
    for words, sentence in sentences.items():
        with pytest.raises(GanlabError, match=sentence):
            train(*words.split())
    assert not (tmp_path / "run").exists()


def test_a_logger_whose_disk_is_full_stops_no_training(
    train: Train, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is missing")
    from lightning.pytorch.loggers import TensorBoardLogger

    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TensorBoardLogger, "log_metrics", full)
    folder = train("logger=tensorboard")
    assert capfd.readouterr().err.count("logger.tensorboard cannot be written (No space left on device)") == 1
    assert len(metrics(folder)) == 4


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("pages", [3, 7])
def test_tensorboard_on_a_full_disk_stops_no_training_and_prints_no_traceback(
    small_disk: Path, train: Train, capfd: pytest.CaptureFixture[str], pages: int
) -> None:
    """Its thread fails, its methods raise that or make something else of it."""
    pytest.importorskip("tensorboard", reason="tensorboard is missing")
    train(f"run.dir={small_disk / 'run'}", "logger=tensorboard", steps=1)  # what it imports is imported
    shutil.rmtree(small_disk / "run")
    capfd.readouterr()
    fill(small_disk, pages * os.sysconf("SC_PAGE_SIZE"))
    session.start(compose.read([*TINY, "trainer.max_steps=30", f"run.dir={small_disk / 'run'}", "logger=tensorboard"]))
    err = capfd.readouterr().err
    assert err.count("logger.tensorboard cannot be written (No space left on device): training goes on.") == 1
    assert "Traceback" not in err


class Client:
    """A replacement of MLflow's logger, which keeps its calls by their place."""

    kept: ClassVar[dict[str, list[Any]]] = {}

    def __init__(self, place: str) -> None:
        self.log = self.kept.setdefault(place, [])

    def get_experiment_by_name(self, name: str) -> None: ...

    def create_experiment(self, name: str, **options: Any) -> str:
        return name

    def create_run(self, experiment_id: str, tags: dict[str, str]) -> Any:
        self.log.append(("run", experiment_id, tags))
        return SimpleNamespace(info=SimpleNamespace(run_id="0" * 31 + "1"))

    def get_run(self, run_id: str) -> Any:
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id, experiment_id="1"))

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        self.log += [("metric", run_id, each["key"], each["step"]) for each in metrics]
        self.log += [("param", run_id, each["key"], each["value"]) for each in params]

    def log_image(self, run_id: str, image: Any, file: str) -> None:
        self.log.append(("image", run_id, image.shape, file))

    def set_terminated(self, run_id: str, status: str) -> None: ...


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    parts: dict[str, dict[str, Any]] = {
        "mlflow": {"set_tracking_uri": lambda uri: None},
        "mlflow.tracking": {"MlflowClient": Client},
        "mlflow.tracking.context": {},
        "mlflow.tracking.context.registry": {"resolve_tags": lambda tags: tags},
        "mlflow.entities": {"Metric": dict, "Param": dict},
        "mlflow.utils": {},
        "mlflow.utils.mlflow_tags": {"MLFLOW_RUN_NAME": "name"},
    }
    for name, content in parts.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("lightning.pytorch.loggers.mlflow._MLFLOW_AVAILABLE", True)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "")  # put back afterwards
    Client.kept.clear()


@pytest.mark.usefixtures("mlflow")
def test_mlflow_gets_scalars_configuration_and_grids_of_a_run_and_goes_on_with_it(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("logger=mlflow", "logger.mlflow.tags={who: me}", "sample.every_steps=2")
    folder = train(*words, steps=2)
    log = Client.kept[f"file:{folder / 'mlflow'}"]
    run = "0" * 31 + "1"
    assert ("run", "ganlab", {"who": "me", "name": "run"}) in log
    assert {("metric", run, "generator/adversarial", 8), ("param", run, "seed", "0")} <= {
        e for e in log if e[0] != "run"
    }
    log.clear()
    session.resume(folder, {"trainer.max_steps": 4})
    # MLflow takes parameters of a run once; grids are in the run folder
    assert {(entry[0], entry[1]) for entry in log} == {("metric", run)}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    session.resume(folder, {"trainer.max_steps": 6})
    log = Client.kept["https://mlflow.example.org"]
    assert [entry[0] for entry in log].count("run") == 1
    (picture,) = [entry for entry in log if entry[0] == "image"]
    assert (picture[2][:2], picture[3]) == ((2 + 10 * 34, 20 + 2 + 34), "samples/000000000048.png")


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_package_is_named_with_ganlabs_extra(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("lightning.pytorch.loggers.mlflow._MLFLOW_AVAILABLE", False)
    for package in ("_TENSORBOARD_AVAILABLE", "_TENSORBOARDX_AVAILABLE"):
        monkeypatch.setattr(f"lightning.fabric.loggers.tensorboard.{package}", False)
    with pytest.raises(GanlabError, match=rf'logger={name} needs a package: pip install "ganlab\[{name}\]"\.'):
        train(f"logger={name}")
    assert not (tmp_path / "run").exists()


def test_a_table_has_a_row_an_iteration_and_goes_on_with_a_run(train: Train) -> None:
    folder = train("logger=csv", steps=3)
    path = folder / "metrics.csv"
    header, *rows = path.read_text().splitlines()
    assert header.startswith("images_seen,discriminator/adversarial,")
    assert [row.partition(",")[0] for row in rows] == ["8", "16", "24"]
    path.write_text("\n".join([header, *rows, rows[-1].replace("24,", "32,", 1), "no,row"]))  # of a killed run
    session.resume(folder, {"trainer.max_steps": 4})
    assert path.read_text().splitlines()[:4] == [header, *rows]
    assert [row.partition(",")[0] for row in path.read_text().splitlines()[4:]] == ["32"]
    table = CSV(RunContext(folder, progress=Progress(4, 32, 32)))
    _ = table.experiment
    table.log_metrics({"kimg": 0.04}, step=40)
    table.log_metrics({"evaluation/fid": 3.5}, step=40)
    table.finalize("success")
    found = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["evaluation/fid"] for row in found] == ["", "", "", "", "3.5"]
    assert (found[-1]["images_seen"], found[-1]["kimg"], found[-1]["generator/adversarial"]) == ("40", "0.04", "")
