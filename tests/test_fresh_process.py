"""Imports of a fresh process, step by step from the lightest on; one process, since each takes seconds to start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from support import compared

from ganlab.core import randomness

STEPS = {  # the code, and the beginnings of names of modules that it has no need of
    "import": ("import ganlab", ("torch", "lightning", "hydra", "omegaconf", "numpy", "PIL")),
    "first page": ("from ganlab import cli; cli.dispatch([])", ("ganlab.commands.", "ganlab.config", "hydra")),
    "contracts": ("import ganlab.contracts, ganlab.regularizers.dropout", ("torch._dynamo",)),
    "names become objects": (
        "from ganlab.assembly import game, given, parts; parts.one('loss', 'hinge');"
        "parts.unbundled('wgan_gp', ()); parts.optimizer('generator', 'dcgan', None)",
        ("hydra", "lightning"),
    ),
    "adversary": (
        "import torch; ganlab.optimizers.adam;ganlab.Adversary(torch.nn.Linear(2, 1), 'wgan_gp', optimizer='dcgan')",
        ("lightning", "hydra", "omegaconf"),
    ),
    # Lightning's torchmetrics imports matplotlib, so only what reports themselves import is looked at
    "reports": ("from ganlab.reports import page, table", ("matplotlib", "jinja2")),
    # Lightning takes seconds to import, and thirty scored runs have five
    "comparison": ("from ganlab.comparisons import compare; compare.compare([sys.argv[1]])", ("lightning",)),
}
# BLAKE2b of repr(parts), 8 bytes, little endian, without the lowest bit: made with hashlib alone.
KEYS = {
    (): 2847183694713211083,
    (0,): 2631537505891389924,
    (0, 64, 1, 0, "latents", 0): 2269581599126183269,
    (1, "order", 2): 1671847539343688486,
}
LAST = f"""
from ganlab.core.randomness import key
keys = [key(*parts) for parts in {list(KEYS)!r}]
names = [ganlab.optimizers.adam.__name__, ganlab.metrics.as_torchmetric.__name__]
print(json.dumps({{"modules": found, "keys": keys, "names": names}}))
"""


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The modules that the process had after each step, and what it found at the end."""
    folder = compared.sweep(tmp_path_factory.mktemp("scored") / "sweep", {"none": [5.0, 6.0], "sn": [4.0, 5.0]})
    steps = [f"{code}\nfound[{name!r}] = sorted(sys.modules)" for name, (code, _) in STEPS.items()]
    program = "\n".join(["import json, sys", "found = {}", *steps, LAST])
    seed = "1" if sys.flags.hash_randomization else "random"  # not as in this process
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    words = [sys.executable, "-c", program, str(folder)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("step", STEPS)
def test_a_step_imports_nothing_that_it_does_not_need(step: str, answer: dict[str, Any]) -> None:
    modules = answer["modules"][step]
    assert "ganlab" in modules
    assert [name for name in modules if name.startswith(STEPS[step][1])] == []


def test_the_steps_import_what_they_use(answer: dict[str, Any]) -> None:
    used = {
        "first page": "ganlab.commands",
        "adversary": "ganlab.adversary.adversary",
        "reports": "ganlab.reports.page",
    }
    assert all(name in answer["modules"][step] for step, name in used.items())


def test_modules_of_ganlab_are_found_without_an_import_of_their_own(answer: dict[str, Any]) -> None:
    assert answer["names"] == ["adam", "as_torchmetric"]


def test_keys_are_the_same_in_every_process_and_on_every_machine(answer: dict[str, Any]) -> None:
    assert answer["keys"] == list(KEYS.values())
    assert [randomness.key(*parts) for parts in KEYS] == list(KEYS.values())
