"""The scoreboard: what it trains, keeps, refuses and shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.refusals import refusal
from torch import Tensor

from ganlab.contracts.point_set import Modes
from ganlab.core.errors import GanlabError
from ganlab.data.ring import Ring
from ganlab.dynamics import cells, contest, scoreboard, standings
from ganlab.dynamics.cells import Cell
from ganlab.dynamics.scoreboard import Board, Checked, Result, Settings, Trained

SMALL = ("data.count=200", "generator.width=8", "generator.depth=1", "discriminator.width=8", "discriminator.depth=1",
         "data.batch_size=8")  # fmt: skip
SETTINGS = Settings(0.024, (1e-3, 1e-2), 2, SMALL)
CELLS = cells.of(["ring"], ["hinge"], ["none", "r1+sn"])


def draw(pictures: Sequence[Tensor], path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"RIFF" + bytes([len(pictures)]))
    assert torch.equal(pictures[0], pictures[-1])  # what a page shows that does not play it
    assert not torch.equal(pictures[1], pictures[-1])


def board(folder: Path, wanted: Sequence[Cell] = CELLS) -> list[Result]:
    made = Board(folder, SETTINGS)
    list(made.train([scoreboard.check(cell, SETTINGS) for cell in made.missing(wanted)], 1, draw))
    return [found for cell in wanted if (found := made.result(cell))]


def covered(results: Sequence[Result]) -> list[float]:
    return [one.covered for result in results for one in result.trained]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    board(folder)
    return folder


def test_coverage_is_that_of_good_points_in_equal_shares() -> None:
    """Two modes; of four points three are good, all of the first mode, which may count for one half at most."""
    modes = Modes(torch.tensor([[0.0, 0.0], [10.0, 0.0]], dtype=torch.float64), 1.0)
    points = torch.tensor([[0.0, 0.0], [2.9, 0.0], [0.0, -1.0], [10.0, 3.1]])
    assert contest.coverage(points, modes) == contest.Coverage(1, 0.75, 0.5)
    assert contest.coverage(points * float("nan"), modes) == contest.Coverage(0, 0.0, 0.0)
    ring = Ring(count=8000)
    assert ring.modes is not None
    found = contest.coverage(torch.from_numpy(ring.points), ring.modes)
    assert found.modes == 8
    assert found.covered == pytest.approx(found.good) == pytest.approx(0.989, abs=0.004)


def test_a_scoreboard_goes_on_where_it_was_killed_and_ends_alike(whole: Path, tmp_path: Path) -> None:
    board(tmp_path, CELLS[:1])
    before = (tmp_path / "cells" / f"{CELLS[0].name}.json").stat().st_mtime_ns
    results = board(tmp_path)
    assert (tmp_path / "cells" / f"{CELLS[0].name}.json").stat().st_mtime_ns == before
    expected = [found for cell in CELLS if (found := Board(whole, SETTINGS).result(cell))]
    assert len(results) == 2
    assert covered(results) == covered(expected)
    assert [one.search for one in results] == [one.search for one in expected]
    assert [one.seed for one in results[0].trained] == [1, 2]


def test_regularizers_have_options_of_their_own() -> None:
    cell = Cell("ring", "hinge", "r1:gamma=0.1:interval_steps=2+sn")
    assert cell.words == ["loss=hinge", "reg=[r1,sn]", "reg.r1.gamma=0.1", "reg.r1.interval_steps=2"]
    assert cell.name == "ring_hinge_r1-gamma-0.1-interval_steps-2+sn"
    assert not scoreboard.check(cell, SETTINGS).refusal
    assert "'reg.r1.gama' is no option" in scoreboard.check(Cell("ring", "hinge", "r1:gama=0.1"), SETTINGS).refusal


def test_other_settings_want_another_folder(whole: Path) -> None:
    with pytest.raises(GanlabError, match="with another kimg: give the same options to go on with it"):
        Board(whole, Settings(1.0, SETTINGS.rates, 2, SMALL))


def test_a_damaged_result_is_said(tmp_path: Path) -> None:
    made = Board(tmp_path, SETTINGS)
    (tmp_path / "cells").mkdir()
    assert made.result(CELLS[0]) is None
    for content in ("{", "[]", json.dumps({"rate": 1, "search": {}, "modes_of_data": 8, "trained": [{"seed": 0}]})):
        made.path(CELLS[0], ".json").write_text(content)
        with pytest.raises(GanlabError, match="is damaged: remove it"):
            made.result(CELLS[0])


def test_what_cannot_play_is_left_out_or_refused_where_it_is_named() -> None:
    found = [scoreboard.check(cell, SETTINGS) for cell in cells.of(["ring"], ["energy_margin"], ["none"])]
    assert found[0].refusal
    scoreboard.refuse_named(found, [], {})
    with pytest.raises(GanlabError, match="energy_margin"):
        scoreboard.refuse_named(found, [], {"loss": ["energy_margin"]})


def test_a_data_set_that_is_refused_has_its_own_reason_and_not_that_of_its_first_loss() -> None:
    """``problems=swiss_roll`` was answered with what the first of all losses lacks."""
    reasons = {"energy_margin": "it needs an energy", "hinge": "no known modes", "minimax": "no known modes"}
    found = [Checked(Cell("swiss_roll", loss, "none"), 0.0, reason) for loss, reason in reasons.items()]
    with pytest.raises(GanlabError, match="no known modes"):
        scoreboard.refuse_named(found, [], {"problem": ["swiss_roll"]})


def test_a_file_is_no_folder_of_a_scoreboard(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GanlabError, match="cannot be written: Not a directory"):
        Board(tmp_path / "file", SETTINGS)


def test_a_scoreboard_of_which_nothing_can_be_trained_leaves_no_folder(tmp_path: Path) -> None:
    board = Board(tmp_path / "board", SETTINGS)
    assert list(board.train([Checked(CELLS[0], 0.0, "it cannot")], 1, draw)) == []
    assert not board.folder.exists()


def test_what_would_take_days_is_refused_with_the_time() -> None:
    scoreboard.refuse_long(3 * 3600, 3)
    with pytest.raises(GanlabError, match=r"would take about 3\.5 days, and hours=12 allows less"):
        scoreboard.refuse_long(3.5 * 86400, 12)


def test_what_takes_too_long_is_refused_at_the_first_cell_that_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Cell] = []

    def check(cell: Cell, settings: Settings) -> Checked:
        looked.append(cell)
        return Checked(cell, 3600.0)

    monkeypatch.setattr(scoreboard, "check", check)
    wanted = cells.of(["ring", "grid"], ["hinge", "minimax"], ["none", "r1", "r2", "sn", "drift"])
    with pytest.raises(GanlabError, match=r"would take about 10\.0 hours, and hours=3 allows less"):
        scoreboard.check_all(wanted, SETTINGS, hours=3, jobs=2)
    assert len(looked) == 7
    assert len(scoreboard.check_all(wanted, SETTINGS, hours=10, jobs=2)) == 20


def test_rows_are_sorted_and_compared_with_the_first() -> None:
    def result(loss: str, values: Sequence[float]) -> Result:
        trained = tuple(Trained(k, 8, value, value, 1.0) for k, value in enumerate(values, 1))
        return Result(Cell("ring", loss, "none"), 1e-3, {}, trained, 8)

    found = standings.standings(
        [result("b", [0.1, 0.11, 0.12]), result("a", [0.9, 0.95, 1.0]), result("c", [0.2, 0.9, 1.0])]
    )
    assert [row.cell.loss for row in found["ring"]] == ["a", "c", "b"]
    first, tied, last = found["ring"]
    assert first.p is None
    assert tied.p is not None
    assert tied.p > 0.05
    assert last.p is not None
    assert last.p < 0.01
    assert first.covered.high == 1.0


def test_the_page_has_a_film_for_each_cell_and_what_was_left_out(whole: Path) -> None:
    made = Board(whole, SETTINGS)
    results = [found for cell in CELLS if (found := made.result(cell))]
    page = standings.write(
        made, results, [Checked(Cell("ring", "x", "none"), 0, "No <b>.")], "ganlab dynamics scoreboard"
    )
    text = page.read_text()
    assert text.count("data:image/webp;base64,") == 2
    assert "No &lt;b&gt;." in text
    assert "– : was not trained" not in text
    standings.write(made, [results[0], replace(results[1], cell=Cell("ring", "minimax", "sn"))], [], "")
    assert (whole / standings.PAGE).read_text().count("– : was not trained") == 1
    assert (whole / standings.TABLE).read_text().count("\n") == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scoreboard", "losses=hing"], "No adversarial loss is called 'hing'"),
        (["scoreboard", "losses=all,hinge"], "losses=all has every name: leave hinge out, or all."),
        (["scoreboard", "losses="], "losses must be all, or names with commas: energy_margin, f_gan, "),
        (["scoreboard", "regs=r1,r1"], "regs names r1 twice"),
        (["scoreboard", "regs=r1:gamma"], "regs: 'r1:gamma' must be a name, with options behind colons"),
        (["scoreboard", "regs=sn,r1:"], "regs: 'r1:' must be a name, with options behind colons"),
        (["scoreboard", "regs=r1+"], "regs: 'r1+' must be a name, with options behind colons"),
        (["scoreboard", "losses=hinge", "problems=ring", "regs=r1:gamma=auto"], "and these are points: give a number."),
        (["scoreboard", "regs="], "regs must be all, or names with commas: centering, "),
        (["scoreboard", "rates=0"], "rates must be different positive numbers"),
        (["scoreboard", "rates=nan,1e-3"], "rates must be different positive numbers"),
        (["scoreboard", "rates=fast"], "rates must be different positive numbers"),
        (["scoreboard", "problems="], "problems= wants data sets of points"),
        (["scoreboard", "problems=dirac", "losses=hinge", "regs=none"], "dirac is no data set of points. Those are"),
        (["scoreboard", "problems=digits", "losses=hinge", "regs=none"], "digits is no data set of points. Those are"),
        (["scoreboard", "problems=swiss_roll", "losses=hinge", "regs=none"], "The modes of swiss_roll are not known"),
        (["scoreboard", "problem=ring"], "leave out problem"),
        (["scoreboard", "out=null"], "needs a folder"),
        (["view=energy", "out=null"], "view=energy needs a file"),
        (["table", "loss=hinge", "data.labels=modes"], "takes no data.labels=modes, loss=hinge"),
        (["scoreboard", "kimg=0"], "kimg must be"),
        (["scoreboard", "seeds=0"], "seeds must be"),
        (["scoreboard", "losses=hinge", "regs=none", "problems=ring", "kimg=1e9"], "days, and hours=24 allows less"),
        (["table", "kimg=3"], "kimg goes with `ganlab dynamics scoreboard`"),
        (["losses=hinge"], "losses goes with `ganlab dynamics scoreboard`"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_bad_input_is_one_sentence(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refusal("dynamics", words)
