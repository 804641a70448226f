"""A hosting service runs .ci/run, and the checks before a commit are a part of it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / ".ci/run"


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_both_hostings_run_the_one_script_on_all_pythons() -> None:
    github = read(".github/workflows/ci.yml")["jobs"]["ci"]
    assert [step["run"] for step in github["steps"] if "run" in step] == [".ci/run"]
    gitlab = read(".gitlab-ci.yml")["ci"]
    assert gitlab["script"] == [".ci/run"]
    assert os.access(SCRIPT, os.X_OK)
    pythons = github["strategy"]["matrix"]["python"]
    assert gitlab["parallel"]["matrix"] == [{"PYTHON_VERSION": pythons}]
    least = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert least
    assert pythons[0] == least[1]


def test_both_hostings_try_the_next_hydra_and_pass_if_it_fails() -> None:
    github = read(".github/workflows/ci.yml")["jobs"]["next"]
    assert [step["run"] for step in github["steps"] if "run" in step] == [".ci/next"]
    assert github["continue-on-error"] is True
    gitlab = read(".gitlab-ci.yml")["next"]
    assert gitlab["script"] == [".ci/next"]
    assert gitlab["allow_failure"] is True
    assert os.access(ROOT / ".ci/next", os.X_OK)


def test_hooks_need_no_network_and_are_commands_of_the_script() -> None:
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    commands = SCRIPT.read_text().splitlines()
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        command = hook["entry"].partition(" --")[0]
        assert any(line.startswith(command) for line in commands), f".ci/run does not call {command}"
