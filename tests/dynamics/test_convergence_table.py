"""The convergence table: its rows are rows of what is installed, and its closed forms those of the games."""

from __future__ import annotations

import pytest

from ganlab.core import registry
from ganlab.dynamics import table
from ganlab.dynamics.table import Row

ROWS = {row.name: row for row in table.published()}


def test_every_installed_loss_and_regularizer_has_a_row() -> None:
    names = {row.name for row in table.installed()}
    assert names >= {f"{kind}={name}" for kind in ("loss", "reg") for name in registry.names(kind)}


def test_a_part_that_needs_more_than_points_is_refused_with_its_reason() -> None:
    (line,) = table.of_row(Row("reg=vib", ("loss=minimax", "reg=vib")), 100)
    assert line.word == "refused"
    assert "reg=vib needs a discriminator with features" in line.note
    assert "problem=dirac has only D(x) = ψ·x" in line.note


def test_a_regularizer_for_images_is_refused_in_a_sentence() -> None:
    (line,) = table.of_row(Row("reg=consistency", ("loss=minimax", "reg=consistency")), 100)
    assert line.word == "refused"
    assert "reg=consistency mirrors and shifts images" in line.note


@pytest.mark.parametrize(
    "name",
    ["TTUR under consensus", *(pytest.param(n, marks=pytest.mark.slow) for n in ROWS if n != "TTUR under consensus")],
)
def test_theory_and_simulation_agree_and_the_flow_is_the_closed_form(name: str) -> None:
    row = ROWS[name]
    for line in table.of_row(row, 500):
        assert (line.error is None) == (not row.closed), line
        assert line.error is None or line.error < 1e-4, line
        assert line.word in ("converges", "converges sublinearly", "cycles", "diverges", "undecided"), line
