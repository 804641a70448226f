"""A run is a folder that belongs to one process at a time."""

import json
import re
import shutil
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.runs import TINY

from ganlab.config import compose
from ganlab.core import git
from ganlab.core.errors import GanlabError
from ganlab.runs import naming, run_folder, session


def test_a_run_has_the_files_that_the_design_names(finished: Path) -> None:
    assert sorted(path.name for path in finished.iterdir()) == [
        "checkpoints",
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
        "samples",
    ]


def test_the_stored_configuration_is_complete(finished: Path) -> None:
    config = run_folder.read_config(finished)
    assert (config.data.image_size, config.data.image_channels, config.data.num_classes) == (8, 1, 10)
    assert config.run.dir == str(finished)
    assert "${" not in (finished / "config.yaml").read_text()


def test_the_environment_names_versions_and_machine(finished: Path) -> None:
    environment = json.loads((finished / "environment.json").read_text())
    assert {"ganlab", "torch", "lightning"} <= set(environment["packages"])
    assert {"time", "command", "python", "platform", "threads", "cuda"} <= set(environment)
    assert set(environment["commits"]) == {"folder", "ganlab"}
    assert environment["commits"]["folder"] == git.commit(Path.cwd())


def test_a_run_is_named_for_the_time_and_what_it_is_and_two_at_once_get_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    started = datetime(2026, 11, 26, 14, 0, 0)
    monkeypatch.setattr(run_folder, "datetime", SimpleNamespace(now=lambda: started))
    what = naming.name(compose.read(["model=biggan", "loss=wgan_gp", "seed=7"]))
    with run_folder.claimed(None, name=what) as one, run_folder.claimed(None, name=what) as other:
        assert one.name == "2026-11-26_14-00-00_biggan_digits_wasserstein_7"
        assert other.name == f"{one.name}_run2"
        assert one.parent == other.parent == tmp_path / "runs"
        (one / "something").touch()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [one.name], "an empty claim is given back"


def test_a_run_without_a_name_is_named_by_its_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = session.start(compose.read([*TINY, "trainer.max_steps=0", "seed=7"])).folder
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_dcgan_digits_hinge_7", folder.name)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [folder.name]


def test_a_folder_that_another_took_between_looking_and_making_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    taken = tmp_path / "runs" / "same second"
    taken.mkdir(parents=True)
    names = iter([taken, tmp_path / "runs" / "another"])
    monkeypatch.setattr(run_folder, "new", lambda folder, name: next(names))
    with run_folder.claimed(None) as folder:
        assert folder.name == "another"


def test_what_a_failed_start_made_is_taken_back_with_the_folders_above_it(tmp_path: Path) -> None:
    with pytest.raises(GanlabError), run_folder.claimed(tmp_path / "a" / "b" / "run"):
        raise GanlabError("something else is wrong")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with run_folder.claimed(tmp_path / "mine"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
    assert not list((tmp_path / "mine").iterdir())


def test_a_home_folder_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run_folder.new("~/run") == tmp_path / "run"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("data=folder", "data.path='/mnt/My photos (2).d/'"), "sngan_My-photos-2_hinge_0"),
        (("data=zip", "data.path=../emoji64.zip"), "sngan_emoji64_hinge_0"),
        (("data=folder", "data.path='写真'"), "sngan_folder_hinge_0"),
        (("data=folder", f"data.path={'x' * 300}", f"seed={10**18}"), f"sngan_{'x' * 24}_hinge_1{'0' * 18}"),
        (("data=mnist",), "sngan_MNIST_hinge_0"),
        (("experiment=digits_introvae",), "sngan_digits_introvae_0"),
    ],
)
def test_a_name_has_safe_characters_and_bounded_parts(words: tuple[str, ...], expected: str) -> None:
    assert naming.name(compose.read(words)) == expected


def test_a_folder_that_is_the_current_one_has_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cats").mkdir()
    monkeypatch.chdir(tmp_path / "cats")
    assert naming.name(compose.read(["data=folder", "data.path=."])) == "sngan_cats_hinge_0"


def test_a_run_that_has_its_best_checkpoint_alone_starts_again(finished: Path, tmp_path: Path) -> None:
    """It was killed between its first score and its first checkpoint, and could be neither resumed nor started."""
    (tmp_path / "run" / run_folder.CHECKPOINTS).mkdir(parents=True)
    shutil.copy(finished / run_folder.CONFIG, tmp_path / "run")
    shutil.copy(
        finished / run_folder.CHECKPOINTS / "last.ckpt", tmp_path / "run" / run_folder.CHECKPOINTS / "best.ckpt"
    )
    assert run_folder.new(str(tmp_path / "run")) == tmp_path / "run"
