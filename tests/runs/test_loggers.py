"""TensorBoard and Weights & Biases: scalars and grids on the kimg axis; no network."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.disk import fill
from support.runs import TINY, Train, metrics

from ganlab.config import compose
from ganlab.core.errors import GanlabError
from ganlab.runs import session
from ganlab.runs.loggers import wandb


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
    assert next(runs[0].glob("*.wandb")).stat().st_size > 1000
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
        folder = train("logger=[tensorboard,wandb]", "logger.wandb.offline=true", "sample.every_steps=2")
    finally:
        service.finish()
    check_tensorboard(folder)
    check_wandb(folder)


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
