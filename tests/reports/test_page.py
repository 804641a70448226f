"""evaluation.html: everything that evaluation.jsonl says, each protocol for itself, in one file without a network."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.records import record, value

from ganlab.contracts.figures import Chart, Grid, Line, Table
from ganlab.core.errors import GanlabError
from ganlab.evaluation import scores
from ganlab.evaluation.figures import plain
from ganlab.reports import page

LINES = [
    Line("fake", [(0, 3.0), (1, 2.0)], [(0, 2.9, 3.1), (1, 1.9, 2.1)]),
    Line("real", [(0, 3.0), (1, 2.5)]),
]
WRITTEN = Line("a", [(1, 9.0), (2, 11.0)], labels=["x", "y"], written=True)
TABLE = Table("By number of splits", ["splits", "mean", "share"], [["1", 9.1, "25.0 %"], ["10", 8.7, None]])
FIGURES = {
    "one": [plain(TABLE)],
    "another": [
        plain(Chart("Spectrum", "cycles", "dB", LINES, "how to read it", ("level", 2.5))),
        plain(Chart("By samples", "1/n", "FID", [WRITTEN])),
        plain(Grid("Neighbours", torch.zeros(1), 1, "nearest first"), "x.png"),
    ],
}


Write = Callable[..., tuple[str, str]]  # of records: the page and its text


class Checked(HTMLParser):
    """Tags that are opened are closed, and nothing is fetched."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [v for k, v in attributes if k.endswith(("src", "href")) and v and not v.startswith("data:")]
        assert tag not in ("script", "link")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture
def written(tmp_path: Path) -> Write:
    def write(*records: dict[str, Any]) -> tuple[str, str]:
        for one in records:
            scores.append(tmp_path, one)
        html = page.write(tmp_path).read_text(encoding="utf-8")
        checked = Checked(html)
        assert not checked.fetched
        assert "url(" not in html
        return html, " ".join(checked.text)

    return write


def test_the_page_shows_every_score_its_interval_and_the_real_images_own(written: Write) -> None:
    _, text = written(record(1000, figures=FIGURES, warnings=["Too few images."]))
    for part in ("fid", "9.55", "9.05 to 10.05", "9.50", "Too few images.", "held-out accuracy 98.7 %"):
        assert part in text


def test_curves_are_drawn_over_training_and_over_truncation(written: Write) -> None:
    html, text = written(*(record(i) for i in (0, 500, 1000)), *(record(1000, t) for t in (0.3, 1.0)), record(1000))
    assert "Over training" in text
    assert "Over truncation" in text
    assert "FID against IS" in text
    # fid and is, of 3 checkpoints and of 2 thresholds, and one against the other
    assert sorted(corners(html)) == [2, 2, 2, 3, 3]


def test_truncated_scores_are_no_points_of_the_curve_over_training(written: Write) -> None:
    _, text = written(record(0), record(500, 0.5))
    assert "Over training" not in text


def test_the_curve_over_training_stays_when_the_newest_evaluations_are_a_sweep(written: Write) -> None:
    html, text = written(*(record(i) for i in (0, 500, 1000)), record(1000, 0.3), record(1000, 0.7))
    assert "Over training" in text
    assert sorted(corners(html)) == [2, 2, 2, 3, 3]
    assert "Over training, truncation 0.5" in written(record(0, 0.5), record(500, 0.5), record(1000, 0.5))[1]


def corners(html: str) -> list[int]:
    """The number of points of each first line of a chart."""
    return [path.count("M") + path.count("L") for path in re.findall(r'<path class="line s1" d="([^"]*)"', html)]


def headline(text: str) -> str:
    found = re.search(r"Iteration \d+(?:, truncation [\d.]+)?", text)
    assert found is not None
    return found[0]


def test_a_sweep_is_drawn_and_the_untruncated_checkpoint_comes_first(written: Write) -> None:
    """A truncation of 1 draws latents from within one deviation: it is far from none."""
    assert headline(written(record(500), record(500, 0.7))[1]) == "Iteration 500, truncation 0.7"
    assert headline(written(record(500, 1.0))[1]) == "Iteration 500"
    assert headline(written(record(700, 0.7), record(700, 1.0))[1]) == "Iteration 700, truncation 1"
    assert headline(written(record(500, 0.6))[1]) == "Iteration 500, truncation 0.6"


def test_what_was_measured_again_is_listed_once(written: Write) -> None:
    held_out = record(1000, subject={"kind": "real", "split": "validation"})
    _, text = written(record(500), held_out, record(1000), {**held_out, "time": "2026-11-21T12:00:00"})
    assert text.count("Real images (validation)") == 1
    assert "2026-11-21 12:00:00" in text
    assert text.count("Iteration 500") == 1


def test_one_sample_is_no_plural(written: Write) -> None:
    one = record(0)
    one["protocol"] = {**one["protocol"], "samples": 1, "reference": {"split": "test", "count": 1}}
    assert "1 sample against 1 test image " in f"{written(one)[1]} ".replace("·", " ").replace("  ", " ")


def test_different_protocols_have_sections_of_their_own(written: Write) -> None:
    html, text = written(record(0), record(1000, protocol="fast"))
    assert re.findall("<h2>(.*?)</h2>", html) == ["Protocol fast", "Protocol digits"]
    assert "Over training" not in text
    assert "different protocols" in text


def test_a_score_that_chose_the_checkpoint_is_marked(written: Write) -> None:
    assert "selected on" in written(record(1000, selected_on=True))[1]


def test_pictures_are_inside_the_page_and_only_those_of_the_run(written: Write, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "samples.png")
    html, _ = written(record(1000, pictures={"samples": "samples.png", "neighbours": "../secret.png", "gone": "x.png"}))
    assert html.count("data:image/png;base64,") == 1


def test_pictures_of_real_images_are_not_called_generated(written: Write, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "samples.png")
    real = record(1000, pictures={"samples": "samples.png"}, subject={"kind": "real", "split": "validation"})
    text = written(real)[1]
    assert "Real images unselected" in " ".join(text.split())
    assert "Generated images" not in text


def test_names_are_text_and_no_markup(written: Write) -> None:
    values = {"fid": value(None), "<img src=x>": value(1.0)}
    html, text = written(record(1000, values=values, protocol="<script>"))
    assert "<img src=x>" in text
    assert "<script" not in html


EVIL = "</td></pre><script>alert(1)</script><img src=x onerror='alert(2)'>"


def test_nothing_that_comes_from_the_folder_is_markup(written: Write, tmp_path: Path) -> None:
    """Every text of a record, and the files of the run beside it."""
    values = {name: {**value(1.0, 0.2), "about": EVIL, "meaning": EVIL} for name in (EVIL, "fid")}
    values["is"] = value(2.0, better=EVIL)
    lines = [Line(EVIL, [(0, 1), (1, 2)], labels=[EVIL, EVIL], written=True)] * 2
    tables = [plain(Table(EVIL, [EVIL], [[EVIL]] * rows, EVIL)) for rows in (1, 50)]
    chart, grid = plain(Chart(EVIL, EVIL, EVIL, lines, EVIL, (EVIL, 1))), Grid(EVIL, torch.zeros(1), 1, EVIL)
    figures = {EVIL: [chart, *tables, plain(grid, "x.png"), plain(grid, EVIL)]}
    more: dict[str, Any] = {
        "values": values,
        "figures": figures,
        "warnings": [EVIL],
        "pictures": {EVIL: "x.png", "a": EVIL},
    }
    protocol = {"name": EVIL, "samples": 3, "reference": {"split": EVIL, "statistics": EVIL}, "labels": EVIL,
                "features": {"component": EVIL, "held_out_accuracy": EVIL}, "seed": EVIL}  # fmt: skip
    Image.new("RGB", (8, 8), "red").save(tmp_path / "x.png")
    (tmp_path / "config.yaml").write_text(EVIL)
    subjects = [{"kind": "images", "path": EVIL}, {"kind": "real", "split": EVIL}, {"kind": "images", "path": "b"}]
    html, text = written(
        *(record(i, subject=of, protocol_hash=EVIL, **more, time=EVIL) for i, of in enumerate(subjects)),
        record(5, **more),
        {**record(6, **more), "protocol": protocol, "protocol_hash": "other", "time": EVIL},
    )
    assert "<script" not in html
    assert "onerror='" not in html
    assert html.count("<img") == html.count("data:image/png;base64,")
    assert text.count("alert(1)") > 20


def test_each_number_says_what_it_is_and_what_has_no_better_or_worse_is_folded(written: Write) -> None:
    values = {
        "fid": {**value(9.0, 0.5), "meaning": "How far images are.", "about": "of 100"},
        "std": value(0.2, better="none"),
        "ppl": value(None),
    }
    html, text = written(record(100, values=values))
    assert "How far images are. Lower is better; of 100." in text
    shown, folded = html.split("<details><summary>Further numbers")
    assert ">fid<" in shown
    assert ">std<" not in shown
    assert ">std<" in folded
    assert ">ppl<" not in html  # it says nothing here


def test_the_page_begins_with_the_headline(written: Write) -> None:
    real = record(1000, subject={"kind": "real", "split": "validation"}, values={"fid": value(4.0, 0.5)})
    html, text = written(record(0), record(1000), real)
    before = html.index('<section class="headline">')
    assert before < html.index("<h2>")
    assert "Real images that it was not trained on score 4.00: the generated images are worse by 5.55." in text


def test_the_headline_is_of_generated_images_whatever_protocol_held_out_ones_had(written: Write) -> None:
    """Held-out images that are fewer than generated ones are scored last, under a protocol of their own."""
    held_out = record(400, protocol="few", time="2026-11-21T10:00:00", values={"fid": value(1.5)})
    real = {**held_out, "subject": {"kind": "real", "split": "test"}}
    html, _ = written(record(400, values={"fid": value(77.0)}), real)
    assert "FID 77" in html[html.index('class="headline"') : html.index("</section>")]


def test_charts_beyond_two_rows_are_folded(written: Write) -> None:
    values = {f"score {i}": value(1.0 + i) for i in range(9)}
    html, _ = written(record(0, values=values), record(500, values=values))
    captions = [html.index(f"<figcaption>score {i} ") for i in range(9)]
    assert captions[5] < html.index("<summary>3 more</summary>") < captions[6]


def test_figures_of_a_metric_are_shown_as_they_come(written: Write, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "x.png")
    html, text = written(record(1000, figures=FIGURES))
    words = " ".join(text.split())
    for part in ("Spectrum how to read it", "cycles", "level", "fake real dB", "By samples", "Neighbours nearest first",
                 "By number of splits splits mean share 1 9.1 25.0 % 10 8.7 –"):  # fmt: skip
        assert part in words
    assert html.count("<svg") == 2
    assert html.count("data:image/png;base64,") == 1


def test_a_line_of_an_older_version_has_no_figures_and_a_page(written: Write) -> None:
    old = record(1000, details={"spectrum": {"fake": [1.0]}})
    del old["figures"]
    assert "FID" in written(old)[1]


def test_short_texts_of_a_column_of_texts_are_aligned_as_the_others(written: Write) -> None:
    faults = plain(
        Table("Faults", ["score", "cause"], [[1.5, "a generator that knows its training images"], [2, "noise"]])
    )
    html, _ = written(record(1000, figures={"m": [faults]}))
    assert '<td class="text">noise</td>' in html
    assert "<td>2</td>" in html


def test_long_tables_are_folded(written: Write) -> None:
    long = plain(Table("Classes", ["class"], [[str(i)] for i in range(50)]))
    html, _ = written(record(1000, figures={"m": [long, plain(Table("Short", ["a"], [["b"]]))]}))
    assert "<summary>Classes: 50 rows</summary>" in html
    assert "<figcaption>Short</figcaption>" in html


def test_a_folder_without_scores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GanlabError, match="has no scores yet: run `ganlab evaluate"):
        page.write(tmp_path)


def test_a_page_without_matplotlib_is_refused_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run goes on after a GanlabError of its evaluation, and after no other one."""
    scores.append(tmp_path, record(0))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(GanlabError, match=r"evaluation\.html is not written: .*; pip install matplotlib jinja2\."):
        page.write(tmp_path)


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores.append(tmp_path, record(0))
    before = page.write(tmp_path).read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(GanlabError, match="cannot be written: No space left on device"):
        page.write(tmp_path)
    assert (tmp_path / page.FILE).read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [page.FILE, scores.FILE]


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize(("mode", "bright"), [("light", True), ("dark", False)])
def test_a_real_browser_lays_it_out_without_overflow(tmp_path: Path, mode: str, bright: bool) -> None:
    """The document is as wide as the window, also a narrow one; and dark where the user wants it dark."""
    assert BROWSER is not None
    for iteration in (0, 500, 1000):
        scores.append(tmp_path, record(iteration, figures=FIGURES, warnings=["A sentence."]))
    html = page.write(tmp_path).read_text(encoding="utf-8")
    script = (
        "<script>addEventListener('load', () => document.documentElement.setAttribute('data-found', JSON.stringify("
        "[document.documentElement.scrollWidth, innerWidth, document.querySelectorAll('svg').length])))</script></body>"
    )
    measured = tmp_path / "measured.html"
    measured.write_text(html.replace("</body>", script), encoding="utf-8")
    flags = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    flags += ["--blink-settings=preferredColorScheme=0"] if mode == "dark" else []
    for width in (1200, 500):
        run = [*flags, f"--window-size={width},2400", "--dump-dom", measured.as_uri()]
        dom = subprocess.run(run, capture_output=True, text=True, timeout=120, check=True).stdout
        found = re.search('data-found="(.*?)"', dom)
        assert found is not None
        document, window, charts = json.loads(found[1])
        assert document <= window
        assert charts == 4  # fid and is over training, and two of a metric
    picture = tmp_path / "page.png"
    subprocess.run([*flags, "--window-size=1200,2400", f"--screenshot={picture}", measured.as_uri()],
                   capture_output=True, timeout=120, check=True)  # fmt: skip
    with Image.open(picture) as image:
        assert (np.asarray(image.convert("L")).mean() > 128) == bright
