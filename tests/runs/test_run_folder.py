"""A run is a folder that belongs to one process at a time."""

import json
import re

import pytest

from ganlab.core.errors import GanlabError
from ganlab.runs import run_folder


def test_a_run_has_the_files_that_the_design_names(finished):
    assert sorted(path.name for path in finished.iterdir()) == [
        "checkpoints",
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
        "samples",
    ]


def test_the_stored_configuration_is_complete(finished):
    config = run_folder.read_config(finished)
    assert (config["data"]["image_size"], config["data"]["image_channels"], config["data"]["num_classes"]) == (8, 1, 10)
    assert config["run"]["dir"] == str(finished)
    assert "${" not in (finished / "config.yaml").read_text()


def test_the_environment_names_versions_and_machine(finished):
    environment = json.loads((finished / "environment.json").read_text())
    assert {"ganlab", "torch", "lightning"} <= set(environment["packages"])
    assert {"time", "command", "python", "platform", "threads", "cuda"} <= set(environment)


def test_a_run_without_a_name_is_named_for_the_time_and_two_at_once_get_two_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with run_folder.claimed(None) as one, run_folder.claimed(None) as other:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", one.name)
        assert one != other
        assert one.parent == other.parent == tmp_path / "runs"
        (one / "something").touch()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [one.name], "an empty claim is given back"


def test_a_folder_that_another_took_between_looking_and_making_is_left_to_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    taken = tmp_path / "runs" / "same second"
    taken.mkdir(parents=True)
    names = iter([taken, tmp_path / "runs" / "another"])
    monkeypatch.setattr(run_folder, "new", lambda folder: next(names))
    with run_folder.claimed(None) as folder:
        assert folder.name == "another"


def test_what_a_failed_start_made_is_taken_back_with_the_folders_above_it(tmp_path):
    with pytest.raises(GanlabError), run_folder.claimed(tmp_path / "a" / "b" / "run"):
        raise GanlabError("something else is wrong")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_there_stays(tmp_path):
    (tmp_path / "mine").mkdir()
    with run_folder.claimed(tmp_path / "mine"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
    assert not list((tmp_path / "mine").iterdir())


def test_a_small_file_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(GanlabError, match=r"config.yaml cannot be written: Is a directory"):
        run_folder.write_text(tmp_path / "config.yaml", "text")
    assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"]


def test_a_home_folder_is_understood(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run_folder.new("~/run") == tmp_path / "run"
