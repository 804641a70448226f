"""report.html: the answer in a browser without a complaint, small and quick, and nothing of a folder is markup."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from support import browser
from support.browser import Browser, Page
from support.run_folders import EVIL, run_folder

from ganlab.comparisons import bands, collected, report
from ganlab.comparisons.answer import Answer, Difference, Estimate, Improvement, MetricInfo, Row, Study, Trial

MOST_BYTES = 20e6  # of thirty runs


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.running() as found:
        yield found


def row(folder: Path, values: dict[str, str], mean: float, seeds: int = 2, text: str = "adversarial") -> Row:
    name = ", ".join(f"{key}={value}" for key, value in values.items())
    runs = [
        collected.facts(run_folder(folder / f"{number}", text, seed=number), f"{name} {number}")
        for number in range(seeds)
    ]
    per_seed = {f"seed {number}": mean + number for number in range(seeds)}
    score = Estimate(mean, mean - 1, mean + 1, seeds, mean, mean - 1, mean + 1, 0.5, per_seed)
    return Row(name, values, list(range(seeds)), runs, {("fid", "best"): score}, 640.0, 20.0, 300.0)


def answer(rows: list[Row], text: str = "words", **more: object) -> Answer:
    difference = Difference("fid", "best", rows[0].name, rows[-1].name, 2.0, 1.0, 3.0, 0.01, 0.02, 2, 5, text)
    found = Answer(
        text, [text, text], text, [MetricInfo("fid", "lower", text)], ["best"], list(rows[0].values), {text: text},
        rows, [difference], [Improvement(rows[0].name, text, "best", 0.9, 0.8, 1.0)], [text],
    )  # fmt: skip
    for name, value in more.items():
        setattr(found, name, value)
    return found


def opened(chromium: Browser, folder: Path, found: Answer, height: int = 4000) -> Page:
    page = chromium.page()
    page.open(report.write(found, folder)[0], height=height)
    return page


def test_the_answer_is_on_the_page_and_nothing_complains(tmp_path: Path, chromium: Browser) -> None:
    rows = [row(tmp_path / name, {"reg": name}, mean) for name, mean in (("sn", 10.0), ("none", 12.0))]
    page = opened(chromium, tmp_path, answer(rows))
    text = page.value("document.body.innerText")
    assert re.search(r"reg=sn\s+10.0\s+9.0 to 11.0\s+10.0\s+2\s+640\s+20\s+300", text)
    assert page.value("document.querySelectorAll('.uplot').length") == 7
    assert page.value("[...document.querySelectorAll('.panel .legend button')].map(e => e.innerText)") == [
        "reg=sn", "reg=none",
    ]  # fmt: skip
    assert page.value("[...document.querySelectorAll('.differences td')].map(e => e.innerText)") == [
        "seed", "0", "1",
    ]  # fmt: skip
    assert page.value("[...document.querySelectorAll('.cells figure')].map(e => e.innerText.trim())") == [
        "reg=sn", "reg=none",
    ]  # fmt: skip
    links = page.value("[...document.querySelectorAll('.headline a')].map(e => e.getAttribute('href'))")
    assert links[-2:] == ["table.csv", "table.md"]
    assert len(links) > 4
    assert all((tmp_path / link).stat().st_size > 1000 for link in links[:-2])
    assert page.complaints == []


def test_a_reader_chooses_the_axis_seeds_and_configurations(tmp_path: Path, chromium: Browser) -> None:
    rows = [row(tmp_path / name, {"reg": name}, mean) for name, mean in (("sn", 10.0), ("none", 12.0))]
    page = opened(chromium, tmp_path, answer(rows))
    before = page.value("document.querySelector('.cells img').src")
    page.value(
        "(e => { e.value = '1'; e.dispatchEvent(new Event('change')) })(document.querySelector('.grids select'))"
    )
    assert page.value("document.querySelector('.cells img').src") != before
    for choice in ("images", "seconds", "kimg"):
        page.value(
            f"[...document.querySelectorAll('.controls label')].find(e => e.innerText === '{choice}').control.click()"
        )
    for number in (0, 1):  # log scale, each seed
        page.value(f"document.querySelectorAll('.panel input[type=checkbox]')[{number}].click()")
    page.value("document.querySelector('.panel .legend button').click()")
    assert page.value("document.querySelector('.panel .legend button').getAttribute('aria-pressed')") == "false"
    assert page.complaints == []


def test_two_keys_are_a_heat_map_with_the_best_cell_strongest(tmp_path: Path, chromium: Browser) -> None:
    found = {("sn", "10"): 10.0, ("sn", "2"): 12.0, ("none", "10"): 14.0, ("none", "2"): 18.0}
    rows = [
        row(tmp_path / f"{at}", {"reg": pair[0], "z": pair[1]}, mean, 1)
        for at, (pair, mean) in enumerate(found.items())
    ]
    heat = report.heat_map(answer(rows), ("fid", "best"))
    assert heat is not None
    assert heat["across"] == ["2", "10"]  # by size
    assert [(value, [cell[2] for cell in cells]) for value, cells in heat["rows"]] == [
        ("none", [0.0, 0.5]), ("sn", [0.75, 1.0]),
    ]  # fmt: skip
    assert report.heat_map(answer(rows[:2]), ("fid", "best")) is None
    page = opened(chromium, tmp_path, answer(rows))
    assert page.value("document.querySelectorAll('.heat td').length") == 4
    assert ">12.0<" in (tmp_path / "figures/heat_map_of_fid_best.svg").read_text()
    assert page.complaints == []


def test_a_search_has_its_best_its_importance_and_every_trial(tmp_path: Path, chromium: Browser) -> None:
    rows = [row(tmp_path / "a", {"reg": "sn"}, 10.0)]
    trials = [
        Trial(
            f"{at}", {"lr": f"{10.0**-at}", "reg": "sn" if at % 2 else "none"}, objective, "done", objective or math.inf
        )
        for at, objective in enumerate([5.0, 3.0, None, 4.0], start=1)
    ]
    study = Study("fid", "lower", ["lr", "reg"], trials, [5.0, 3.0, 3.0, 3.0], {"lr": 0.8, "reg": 0.2}, "by fANOVA")
    page = opened(chromium, tmp_path, answer(rows, study=study))
    assert page.value("document.querySelectorAll('.coordinates path').length") == 3
    page.value("document.querySelectorAll('.coordinates path')[2].dispatchEvent(new Event('click'))")  # the best one
    assert page.value("document.querySelector('.said').innerText") == "2: lr=0.01, reg=none: fid 3"
    assert "80 %" in page.value("document.querySelector('.importance').innerText")
    assert page.complaints == []


def test_nothing_of_run_folders_is_markup_or_runs(tmp_path: Path, chromium: Browser) -> None:
    rows = [row(tmp_path / f"{at}", {f"reg{EVIL}": f"{at}{EVIL}", EVIL: f"{at}"}, 9.0 + at, text=EVIL) for at in (0, 1)]
    rows[0].failures, rows[1].alarms = [EVIL], [EVIL]
    trials = [Trial(EVIL, {EVIL: f"{at}{EVIL}"}, 1.0 + at, "done") for at in range(3)]
    study = Study(EVIL, "lower", [EVIL], trials, [1.0, 1.0, 1.0], {EVIL: 1.0}, EVIL)
    found = answer(rows, EVIL, study=study)
    found.metrics = [MetricInfo("fid", "lower", EVIL)]
    page = opened(chromium, tmp_path, found)
    html = (tmp_path / report.FILE).read_text()
    assert html.count("<script>") == 2
    assert unescape(html).count("window.evil = 1") > 30
    page.value("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    page.value("document.querySelector('.coordinates path').dispatchEvent(new Event('click'))")
    assert page.value("typeof window.evil") == "undefined"
    assert page.value("[...document.querySelectorAll('img')].every(e => e.src.startsWith('data:'))")
    assert page.complaints == []
    assert all("<script" not in path.read_text() for path in (tmp_path / "figures").glob("*.svg"))


@pytest.mark.slow
def test_thirty_runs_with_a_hundred_grids_are_small_and_quickly_drawn(tmp_path: Path, chromium: Browser) -> None:
    """Ten configurations with three seeds, 100 grids of 100 colour images of 64x64 each, 2,000 logged lines."""
    run = collected.facts(run_folder(tmp_path / "run", lines=2000))
    tiles = np.random.default_rng(0).integers(0, 256, (10, 10, 8, 8, 3), np.uint8)
    pixels = Image.fromarray(tiles.transpose(0, 2, 1, 3, 4).reshape(80, 80, 3)).resize(
        (660, 660), Image.Resampling.BICUBIC
    )
    pixels.save(tmp_path / "grid.png", compress_level=1)
    assert (tmp_path / "grid.png").stat().st_size > 300_000
    run.grids = [collected.Grid(20 * at, 1.28 * at, tmp_path / "grid.png") for at in range(1, 101)]
    rows = []
    for place in range(10):
        runs = [
            collected.RunFacts(
                run.folder, f"{place} {seed}", run.config, seed, "done", curves=run.curves, grids=run.grids
            )
            for seed in range(3)
        ]
        score = Estimate(10.0 + place, 9.0 + place, 11.0 + place, 3)
        rows.append(Row(f"reg={place}", {"reg": f"{place}"}, [0, 1, 2], runs, {("fid", "best"): score}))
    path = report.write(answer(rows), tmp_path)[0]
    assert 1e6 < path.stat().st_size < MOST_BYTES
    page = chromium.page()
    page.open(path)
    drawn = page.value("performance.getEntriesByType('navigation')[0].loadEventEnd")
    print(f"{path.stat().st_size:,} bytes, drawn in {drawn:.0f} ms")
    assert page.value("[...document.querySelectorAll('.cells img')].every(e => e.src.startsWith('data:image/webp'))")
    assert page.complaints == []


def test_a_band_is_the_interval_over_the_seeds_that_did_not_fail(tmp_path: Path) -> None:
    found = row(tmp_path, {"reg": "sn"}, 1.0, seeds=4)
    found.runs[3].state = collected.FAILED
    curves = [[1.0, 5.0], [2.0, 5.0], [6.0, 5.0], [900.0, 900.0]]
    for run, values in zip(found.runs, curves, strict=True):
        run.curves = {"a/b": collected.Curve([1.0, 2.0], [1.0, 2.0], list(values))}
    trace = bands.trace(found, "a/b", 3)
    assert trace is not None
    low, high = stats.t.interval(0.95, 2, 3.0, stats.sem([1.0, 2.0, 6.0]))
    ends = np.array([trace.low, trace.y, trace.high], float)
    np.testing.assert_allclose(ends, np.array([[low, 5.0], [3.0, 5.0], [high, 5.0]]))
    assert (trace.place, [values[0] for values in trace.each]) == (3, [1.0, 2.0, 6.0])


def test_the_mean_ends_with_the_shortest_run_and_other_points_are_interpolated(tmp_path: Path) -> None:
    found = row(tmp_path, {"reg": "sn"}, 1.0)
    found.runs[0].curves = {"a/b": collected.Curve([1.0, 2.0, 3.0], [], [0.0, 10.0, 20.0])}
    found.runs[1].curves = {"a/b": collected.Curve([0.5, 1.5, 2.5, 2.6], [], [5.0, 15.0, 25.0, None])}
    trace = bands.trace(found, "a/b", 1)
    assert trace is not None
    assert (list(trace.x), list(trace.y)) == ([1.0, 2.0], [5.0, 15.0])


def test_scores_of_another_protocol_are_no_curve(tmp_path: Path) -> None:
    found = row(tmp_path, {"reg": "sn"}, 1.0, seeds=3)
    for one in found.runs[1].records:
        one["protocol_hash"] = "other"
    (note,) = bands.of_one_protocol([found])
    assert note.startswith(f"{found.runs[1].name} was scored under another protocol")
    assert ["score/fid" in run.curves for run in found.runs] == [True, False, True]


def test_what_a_killed_comparison_left_half_written_is_removed(tmp_path: Path) -> None:
    left = [tmp_path / f"{folder}.scores.pdf.4a565e1137c4.part" for folder in ("", "figures/")]
    (tmp_path / "figures").mkdir()
    for path in left:
        path.write_text("%PDF")
    report.write(answer([row(tmp_path / "runs", {"reg": "sn"}, 1.0)]), tmp_path)
    assert not any(path.exists() for path in left)
