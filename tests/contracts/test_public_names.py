"""The names that plug-ins and scripts import."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import ganlab
from ganlab import contracts

HEAVY = ("torch", "lightning", "hydra", "numpy", "PIL")


def test_every_class_of_the_contracts_is_a_name_of_ganlab() -> None:
    classes = {name for name in contracts.__all__ if name[0].isupper()}
    others = {"Adversary", "DataModule", "GANModule", "GanlabError", "Run", "load", "register", "train"}
    assert classes | others == set(ganlab.__all__)
    for name in classes:
        assert getattr(ganlab, name) is getattr(contracts, name)
    assert set(ganlab.__all__) <= set(dir(ganlab))


def test_the_contracts_document_each_name_that_they_export() -> None:
    documentation = contracts.__doc__ or ""
    assert [name for name in contracts.__all__ if f"`{name}`" not in documentation] == []
    classes = [found for name in contracts.__all__ if inspect.isclass(found := getattr(contracts, name))]
    assert [found.__name__ for found in classes if not found.__doc__] == []


def test_a_name_that_ganlab_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'ganlab' has no attribute 'Regulariser'"):
        _ = ganlab.Regulariser


PLUG_IN = """
import ganlab
from torch import Tensor

class Right(ganlab.Regularizer):
    addresses = (ganlab.Address("discriminator"),)

    def terms(self, player: str, view: ganlab.View) -> ganlab.Terms:
        logits: Tensor = view.logits(view.reals)
        return {"right": logits.square().mean()}

class Wrong(ganlab.Regularizer):
    def terms(self, player: int, view: ganlab.View) -> ganlab.Terms:
        return view.reals

ganlab.train(5)
"""


@pytest.mark.slow
def test_a_plug_ins_mypy_sees_the_types(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "plug_in.py").write_text(PLUG_IN)
    command = [sys.executable, "-m", "mypy", "--config-file=", "--follow-imports=silent", "plug_in.py"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    lines = {int(line.split(":")[1]) for line in run.stdout.splitlines() if ": error:" in line}
    source = PLUG_IN.splitlines()
    assert [source[line - 1].strip() for line in sorted(lines)] == [
        "def terms(self, player: int, view: ganlab.View) -> ganlab.Terms:",
        "return view.reals",
        "ganlab.train(5)",
    ], run.stdout
