"""The page of the Dirac-GAN: its tour, its verdicts, and the page itself in a browser."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from support import browser, javascript

from ganlab.commands.dynamics import Dynamics
from ganlab.core.errors import GanlabError
from ganlab.dynamics import laboratory, offers, page, tour
from ganlab.dynamics.tour import Setting

JUDGE = """({texts, numbers, chosen}) => {
  const settings = Settings(texts, numbers);
  return chosen.map((one) => ({
    word: settings.verdict(one).verdict.word, words: settings.words(one), critical: settings.critical(one),
  }));
}"""
TRIES = [(stop.title, one) for stop in tour.STOPS for one in stop.tries]


def _judged(chosen: list[Setting], folder: Path) -> list[dict[str, Any]]:
    data = {"texts": page.texts(), "numbers": page.numbers(), "chosen": [asdict(one) for one in chosen]}
    found: list[dict[str, Any]] = javascript.evaluate(page.MATHEMATICS, JUDGE, data, folder)
    return found


def test_the_tour_has_ten_stops_and_says_what_the_page_finds(tmp_path: Path) -> None:
    assert len(tour.STOPS) == 10
    found = _judged([one.setting for _, one in TRIES], tmp_path)
    for (title, one), judged in zip(TRIES, found, strict=True):
        assert judged["word"] == one.verdict, f"{title}: {one.label}"


def test_the_critical_strength_is_that_of_the_closed_form(tmp_path: Path) -> None:
    """Friction c and slope f' have the eigenvalues -c/2 ± √(c²/4 - f'²), a double one at c = 2f'.

    R1 has c = gamma, instance noise on a logistic loss c = std²/2 (f' = 1/2), a penalty weight·ψ² c = 2 weight and
    f' = 1.
    """
    chosen = [
        Setting("non_saturating", "r1", 0.3),
        Setting("minimax", "instance_noise", 0.3),
        Setting("wasserstein", "gradient_penalty (slope 0)", 0.3),
        Setting("wasserstein", "gradient_penalty (slope 1)", 0.3),
    ]
    found = [one["critical"] for one in _judged(chosen, tmp_path)]
    assert found[:3] == pytest.approx([1, 2**0.5, 1], rel=1e-3)
    assert found[3] is None


def _some_of_all() -> Iterator[Setting]:
    """Yield some of the games that the page offers; none that rests where its field jumps, which rounding decides."""
    refused = offers.refusals()
    pairs = list(itertools.product(offers.LOSSES, [None, *offers.REGULARIZERS]))
    for i, (loss, regularizer) in enumerate(pairs):
        name = "" if regularizer is None else regularizer.name
        strength = regularizer.strength.first if regularizer and regularizer.strength else 0.0
        jumps = name in ("gradient_penalty (slope 1)", "dragan")
        if i % 11 == 0 and not jumps and loss.name not in refused.get(name, {}):
            yield Setting(loss.name, name, strength, update=offers.UPDATES[i % len(offers.UPDATES)])


@pytest.mark.slow
def test_ganlab_says_the_same_of_the_words_that_the_page_shows(tmp_path: Path) -> None:
    """Games of the same words, which several stops of the tour have, are studied once."""
    chosen = [*(one.setting for _, one in TRIES), *_some_of_all()]
    studied: dict[tuple[str, ...], Any] = {}
    differ = []
    for judged in _judged(chosen, tmp_path):
        words = tuple(judged["words"])
        if words not in studied:
            studied[words] = laboratory.study(offers.PROBLEM, judged["words"], page.ITERATIONS)
        found = studied[words]
        if found.verdict.word != judged["word"]:
            differ.append((" ".join(judged["words"]), judged["word"], found.verdict.word, found.verdict.reason))
    assert not differ


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["lecture"], "one of the words table, page, scoreboard, got 'lecture'"),
        (["page", "problem=gaussian"], "takes no problem"),
        (["page", "out=file/page.html"], "cannot be written"),
    ],
)
def test_a_wrong_command_is_refused_in_a_sentence(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(GanlabError, match=sentence):
        Dynamics.run(words)


def test_the_page_follows_its_reader(tmp_path: Path) -> None:
    written = page.write(tmp_path / page.FILE)
    with browser.running() as running:
        shown = running.page()
        shown.open(written, width=400, height=800, dark=True)
        assert shown.value("document.documentElement.scrollWidth") == 400
        assert shown.value("document.querySelector('.on-white').naturalWidth") < 500  # letters as on paper
        shown.open(written)
        assert shown.value("document.documentElement.scrollWidth") == 1400
        assert shown.value("document.querySelector('.on-white').naturalWidth") > 1000
        for i, stop in enumerate(tour.STOPS):
            shown.value(f"document.querySelectorAll('#stops button')[{i}].click()")
            assert stop.title in shown.value("document.querySelector('#stop h2').textContent")
        shown.value("document.querySelectorAll('#stops button')[4].click()")
        before = shown.value("ganlab.path.at(-1)")
        _drag_the_start(shown)
        assert shown.value("ganlab.setting.start") == pytest.approx([-1, 0.5], abs=0.02)
        assert shown.value("ganlab.path.at(-1)") != before
        shown.value("document.querySelector('#strength .link').click()")
        assert shown.value("ganlab.setting.strength") == pytest.approx(1, rel=1e-3)
        _choose(shown, "regularizer", "")
        assert "sublinearly" in shown.value("document.querySelector('.word').textContent")
        _choose(shown, "regularizer", "roth")
        _choose(shown, "loss", "wasserstein")
        assert "f-divergence" in shown.value("document.getElementById('refused').textContent")
        assert shown.value("document.querySelectorAll('.film img').length") == 4
        assert shown.value(
            "[...document.querySelectorAll('.film img')].every((one) => one.src.startsWith('data:image'))"
        )
        shown.value("document.querySelector('[data-momentum=\"0.9\"]').click()")
        assert "of 1000 samples are in another pit" in shown.value("document.getElementById('pits-says').textContent")
        assert shown.value("document.querySelector('[data-momentum=\"0.9\"]').ariaPressed") == "true"
        assert shown.complaints == [], shown.complaints


def _drag_the_start(shown: browser.Page) -> None:
    """Drag the start to θ = -1, ψ = 0.5."""
    place = """(() => {{
      const box = plane.getBoundingClientRect(), at = Pictures.place(box.width, {});
      return [box.left + at[0], box.top + at[1]];
    }})()"""
    x, y = shown.value(place.format("...ganlab.setting.start"))
    to_x, to_y = shown.value(place.format("-1, 0.5"))
    shown.mouse("mousePressed", x, y, button="left", clickCount=1)
    shown.mouse("mouseMoved", to_x, to_y, button="left", buttons=1)
    shown.mouse("mouseReleased", to_x, to_y, button="left", clickCount=1)


def _choose(shown: browser.Page, control: str, value: str) -> None:
    shown.value(f"{control}.value = {value!r}; {control}.dispatchEvent(new Event('change'))")
