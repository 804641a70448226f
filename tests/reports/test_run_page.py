"""page.html: what a run logged, drawn in a browser without a complaint, and nothing of a folder is markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from support import browser
from support.browser import Browser
from support.run_folders import EVIL, run_folder

from ganlab.reports import logged, run_page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.running() as found:
        yield found


def test_every_scalar_is_drawn_and_nothing_complains(tmp_path: Path, chromium: Browser) -> None:
    path = run_page.write(run_folder(tmp_path / "run"), "finished")
    page = chromium.page()
    page.open(path)
    captions = "[...document.querySelectorAll('figure.plot figcaption')].map(e => e.firstChild.data.trim())"
    assert page.value(captions) == ["fid", "is", "adversarial", "logits", "adversarial", "discriminator/layers/sigma0"]
    assert page.value("document.querySelectorAll('.uplot canvas').length") == 6
    assert "Constant: images_per_second 640, generator/learning_rate 0.001" in page.value("document.body.innerText")
    text = page.value("document.body.innerText")
    for words in ("finished, 200 iterations, 12.8 kimg, 20 seconds of training", "0123abc", "torch 2.14", "9x8"):
        assert words in text
    assert page.complaints == []


def test_the_pointer_shows_values_a_drag_zooms_and_a_name_hides_its_line(tmp_path: Path, chromium: Browser) -> None:
    path = run_page.write(run_folder(tmp_path / "run"), "finished")
    page = chromium.page()
    page.open(path, height=3000)
    page.value("window.logits = [...document.querySelectorAll('figure.plot')][3]")
    x, y, width, height = page.value(
        "(({x, y, width, height}) => [x, y, width, height])(logits.querySelector('.u-over').getBoundingClientRect())"
    )
    page.mouse("mouseMoved", x + width - 2, y + height / 2)
    page.until("!logits.querySelector('.pointed').hidden")
    assert re.findall(r"\S+", page.value("logits.querySelector('.pointed').innerText")) == [
        "12.8", "kimg", "real_logits", "20", "fake_logits", "−20",
    ]  # fmt: skip
    page.value("logits.querySelector('.legend button').click()")
    page.mouse("mouseMoved", x + width - 3, y + height / 2)
    page.until("!logits.querySelector('.pointed').innerText.includes('real_logits')")
    page.value("document.querySelectorAll('.controls input[type=radio]')[1].click()")
    assert "images" in page.value("document.querySelector('.u-axis').parentElement.innerText + 'images'")
    page.mouse("mousePressed", x + width / 2, y + 9, button="left", clickCount=1)
    page.mouse("mouseMoved", x + width - 9, y + 9, button="left", buttons=1)
    page.mouse("mouseReleased", x + width - 9, y + 9, button="left", clickCount=1)
    page.until("logits.classList.contains('zoomed')")
    page.value("logits.querySelector('.reset').click()")
    page.until("!logits.classList.contains('zoomed')")
    assert page.complaints == []


def test_the_slider_shows_the_grid_of_its_point_of_training(tmp_path: Path, chromium: Browser) -> None:
    path = run_page.write(run_folder(tmp_path / "run"), "finished")
    page = chromium.page()
    page.open(path)
    place = "document.querySelector('.grids input')"
    assert page.value("document.querySelector('.grids output').innerText") == "12.8 kimg"
    last = page.value("document.querySelector('.grids img').src")
    page.value(f"{place}.value = 0; {place}.dispatchEvent(new Event('input'))")
    assert page.value("document.querySelector('.grids output').innerText") == "0.64 kimg"
    assert page.value("document.querySelector('.grids img').src") != last


def test_a_page_fits_its_window(tmp_path: Path, chromium: Browser) -> None:
    page = chromium.page()
    page.open(run_page.write(run_folder(tmp_path / "run"), "running", refresh_seconds=600), dark=True)
    for width in (400, 1400, 2400):
        page.resize(width, 1000)
        page.until(f"document.documentElement.scrollWidth === {width} && innerWidth === {width}")
        page.until("[...document.querySelectorAll('.uplot')].every(e => e.clientWidth === e.parentElement.clientWidth)")
    assert page.complaints == []


def test_nothing_of_a_run_folder_is_markup_or_runs(tmp_path: Path, chromium: Browser) -> None:
    path = run_page.write(run_folder(tmp_path / "<img src=x onerror=evil=1>", EVIL), EVIL)
    html = path.read_text()
    assert "<img src=x" not in html
    assert html.count("<script>") == 2
    assert unescape(html).count("window.evil = 1") > 10
    page = chromium.page()
    page.open(path, height=3000)
    page.value("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    x, y = page.value("(({x, y}) => [x, y])(document.querySelectorAll('.u-over')[4].getBoundingClientRect())")
    page.mouse("mouseMoved", x + 50, y + 50)
    page.until("document.querySelector('.pointed:not([hidden])') !== null")
    assert page.value("typeof window.evil") == "undefined"
    assert page.value("document.querySelectorAll('img').length") == 1  # the grid
    assert page.complaints == []


def test_a_page_that_did_run_foreign_code_would_be_stopped_by_its_policy(tmp_path: Path, chromium: Browser) -> None:
    path = run_page.write(run_folder(tmp_path / "run"), "finished")
    path.write_text(path.read_text().replace("<main>", "<main><script>window.evil = 1</script><img src='http://x/'>"))
    page = chromium.page()
    page.open(path)
    assert page.value("typeof window.evil") == "undefined"
    assert len(page.complaints) == 2


def test_an_empty_folder_has_a_page(tmp_path: Path, chromium: Browser) -> None:
    page = chromium.page()
    page.open(run_page.write(tmp_path, "not started"))
    assert "not started, nothing is logged yet" in page.value("document.body.innerText")
    assert page.complaints == []


def test_a_page_is_printed(tmp_path: Path, chromium: Browser) -> None:
    page = chromium.page()
    page.open(run_page.write(run_folder(tmp_path / "run"), "finished"), dark=True)
    assert page.pdf().startswith(b"%PDF")
    assert page.complaints == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"packages": 1, "data": [], "cuda": 3}', "[" * 9999, "\xff"])
def test_an_environment_that_somebody_wrote_is_no_crash(tmp_path: Path, content: str) -> None:
    (tmp_path / "environment.json").write_text(content, encoding="latin-1")
    run_page.write(tmp_path, "finished")


def test_seconds_follow_from_the_speed_of_each_interval(tmp_path: Path) -> None:
    rows = [
        {"iteration": 1, "kimg": 1, "images_per_second": 500},
        {"iteration": 2, "kimg": 2, "images_per_second": 1000},
    ]
    lines = [*map(json.dumps, rows), '{"kimg": 1}', '{"iteration": 3, "kimg": 4}']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    log = logged.read(tmp_path)
    assert list(log.kimg) == [1, 2, 4]  # the line that goes back is passed over
    assert list(log.seconds) == [2, 3, 3]
    assert [run_page.kimg_of(log, iteration) for iteration in (0, 1, 2)] == [0, 1, 2]


def test_sizes_of_layers_have_a_log_scale_and_checkpoints_measured_afterwards_are_drawn(
    tmp_path: Path, chromium: Browser
) -> None:
    folder = run_folder(tmp_path / "run")
    rows = [
        {
            "iteration": 200,
            "kimg": 12.8,
            "checkpoint": "last.ckpt",
            "equilibrium/real0": 2.0,
            "equilibrium/error0": 0.5,
        },
        {"iteration": 100, "kimg": 6.4, "checkpoint": "a.ckpt", "equilibrium/real0": 9.0, "equilibrium/error0": 0.5},
        {"iteration": 100, "kimg": 6.4, "checkpoint": "a.ckpt", "equilibrium/real0": -1.0, "equilibrium/error0": None},
        {"iteration": 100, "kimg": "x", "equilibrium/real0": 7.0},
        [EVIL],
    ]
    (folder / "watch.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"iteration')
    assert logged.measured(folder) == {
        "equilibrium/real0": [(6.4, -1.0), (12.8, 2.0)], "equilibrium/error0": [(6.4, 0.5), (12.8, 0.5)],
    }  # fmt: skip
    page = chromium.page()
    page.open(run_page.write(folder, "finished"))
    captions = "[...document.querySelectorAll('figure.plot figcaption')].map(e => e.firstChild.data.trim())"
    assert page.value(captions)[-1] == "real0"
    assert "equilibrium/error0 0.5" in page.value("document.body.innerText")
    labels = (
        "[...document.querySelectorAll('figure.plot')].map(e => JSON.parse(e.querySelector('script').text).logarithmic)"
    )
    drawn = dict(zip(page.value(captions), page.value(labels), strict=True))
    assert [name for name, logarithmic in drawn.items() if logarithmic] == ["discriminator/layers/sigma0"]
    assert not page.value("document.querySelector('.plots input[type=checkbox]').checked")
    assert page.complaints == []


def test_layers_of_both_players_stand_together_by_quantity() -> None:
    """Figure 3 of Brock et al. 2019: the generator's σ0 beside the discriminator's, before what a page folds."""
    points = [(1.0, 1.0), (2.0, 2.0)]
    quantities = ("estimate", "sigma0", "sigma1", "sigma2", "used_sigma0")
    scalars = {
        f"spectra/{player}/{layer}/{quantity}": points
        for player in ("discriminator", "generator")
        for quantity in quantities
        for layer in ("a", "b")
    }
    (part,) = run_page._grouped(scalars)
    assert [chart.title for chart in part.charts][2:4] == ["discriminator/layers/sigma0", "generator/layers/sigma0"]
