"""The facts about a run on the page: losses, grids, command line, configuration; and nothing of it is markup."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest
from PIL import Image

from ganlab.reports import curves, logged, pages
from ganlab.reports.run_facts import run_facts

EVIL = "</pre><script>alert(1)</script><img src=x onerror='alert(2)'>\"&"


def log(folder: Path, rows: list[dict]) -> None:
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def html_of(folder: Path) -> str:
    run = run_facts(folder)
    return pages.save(folder / "page.html", "run.html", run=run).read_text()


def test_each_scalar_has_a_chart_and_real_and_fake_share_one(tmp_path: Path) -> None:
    log(tmp_path, [
        {"iteration": i, "kimg": i / 2, "discriminator/adversarial": 2 - i, "discriminator/real_logits": i,
         "discriminator/fake_logits": -i, "generator/adversarial": i * i, "generator/learning_rate": 0.1,
         "images_per_second": i}
        for i in range(5)
    ])  # fmt: skip
    charts = curves.losses(tmp_path)
    assert [chart.title for chart in charts] == [
        "discriminator/adversarial", "discriminator/logits", "generator/adversarial",
    ]  # fmt: skip
    assert [len(line.points) for chart in charts for line in chart.lines] == [5] * 4


def test_a_long_log_is_thinned_to_means_with_the_range_around_them(tmp_path: Path) -> None:
    log(tmp_path, [{"kimg": i, "generator/adversarial": 10.0 + (-1) ** i} for i in range(1000)])
    (chart,) = curves.losses(tmp_path)
    (line,) = chart.lines
    assert len(line.points) == 200
    assert {y for _, y in line.points} == {9.8, 10.2}  # five values a part
    assert [row[1:] for row in line.band] == [(9.0, 11.0)] * 200


def test_of_a_huge_log_some_lines_are_read_the_last_one_among_them(tmp_path: Path) -> None:
    log(tmp_path, [{"kimg": i, "generator/adversarial": float(i)} for i in range(9001)])
    (points,) = logged.read(tmp_path).scalars.values()
    assert len(points) <= logged.LINES
    assert points[-1] == (9000, 9000.0)


@pytest.mark.parametrize(
    "content",
    ["", "[1]\n3\nnull\n", "[" * 50_000,
     '{"kimg": "x", "a/b": 1}\n', '{"kimg": 1, "a/b": "1"}\n{"kimg": true, "a/b": 2}',
     '{"kimg": 1, "a/b": NaN}\n{"kimg": 2, "a/b": 1' + "0" * 400 + "}\n", "\x00\xff"],
)  # fmt: skip
def test_a_log_that_somebody_wrote_is_no_crash(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(content, encoding="latin-1")
    assert curves.losses(tmp_path) == []


def test_the_page_has_the_command_line_the_configuration_and_three_grids(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 0\nloss:\n  component: hinge\n")
    (tmp_path / "environment.json").write_text(json.dumps({"command": ["/x/bin/ganlab", "train", "reg=[sn, ortho]"]}))
    (tmp_path / "samples").mkdir()
    for number in (1, 20, 300, 4000, 50000):
        Image.new("L", (8, 8)).save(tmp_path / "samples" / f"iteration_{number:09d}.png")
    html = html_of(tmp_path)
    assert "ganlab train 'reg=[sn, ortho]'" in unescape(html)
    assert "component: hinge" in html
    assert re.findall(r"<figcaption>(.*?)</figcaption>", html) == ["iteration 1", "iteration 300", "iteration 50000"]
    assert html.count("data:image/png;base64,") == 3


def test_nothing_of_a_run_folder_is_markup(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(EVIL)
    (tmp_path / "environment.json").write_text(json.dumps({"command": [EVIL, EVIL]}))
    log(tmp_path, [{"kimg": i, f"{EVIL}/real_{EVIL}": i, f"{EVIL}/fake_{EVIL}": -i} for i in range(50)])
    html = html_of(tmp_path)
    assert "<script" not in html
    assert "<img" not in html
    assert unescape(html).count("alert(1)") >= 4


def test_what_is_no_picture_or_a_link_is_not_shown(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("L", (8, 8)).save(secret)
    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    (run / "samples" / "iteration_000000001.png").write_text("root:x:0:0")
    (run / "samples" / "iteration_000000002.png").symlink_to(secret)
    (run / "samples" / "iteration_2<b>.png").write_bytes(secret.read_bytes())
    (run / "config.yaml").symlink_to(secret)
    assert "<img" not in html_of(run)
    assert "config.yaml" not in html_of(run)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"command": []}', '{"command": [1]}', '{"command": "ab"}', "\xff"]
)
def test_an_environment_that_somebody_wrote_is_no_crash(tmp_path: Path, content: str) -> None:
    (tmp_path / "environment.json").write_text(content, encoding="latin-1")
    run_facts(tmp_path)


def test_an_empty_folder_has_nothing_to_say(tmp_path: Path) -> None:
    assert html_of(tmp_path).strip() == ""
