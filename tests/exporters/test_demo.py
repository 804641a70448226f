"""The app of a demo is started and clicked through in a browser."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
import unfinished
from PIL import Image, ImageSequence
from support import browser
from support.browser import Page

from ganlab.exporters import demo, portable
from ganlab.exporters.portable import Fixed

SECONDS = 120.0
IMAGES = "[...document.querySelectorAll('.image-frame img')].filter(one => one.offsetParent)"
SLIDER = "document.querySelector('input[type=range]')"


@contextmanager
def started(folder: Path) -> Iterator[str]:
    """Run the app of a folder in a process of its own, without ganlab; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    start = "import runpy, sys; sys.modules['ganlab'] = None; runpy.run_path('app.py', run_name='__main__')"
    with (folder.parent / "said.txt").open("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", start], cwd=folder, env={**environment, "PYTHONPATH": str(folder)}, stdout=said,
            stderr=said,
        )  # fmt: skip
        try:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end and process.poll() is None:
                with socket.socket() as there:
                    if there.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            assert process.poll() is None, (folder.parent / "said.txt").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def click(page: Page, role: str, name: str) -> None:
    """Click the button or the tab of this name."""
    page.value(f"[...document.querySelectorAll({role!r})].find(one => one.innerText.trim() === {name!r}).click()")


def press(page: Page, element: str) -> None:
    """Click an element with the mouse."""
    page.until(f"!!{element}")
    x, y = page.value(f"(box => [box.x + box.width / 2, box.y + box.height / 2])({element}.getBoundingClientRect())")
    for kind in ("mousePressed", "mouseReleased"):
        page.mouse(kind, x, y, button="left", clickCount=1)


def choose(page: Page, name: str, option: str) -> None:
    """Click an option of a list of classes."""
    press(page, f"document.querySelector('input[role=combobox][aria-label={json.dumps(name)}]')")
    press(page, f"document.querySelector('[role=option][aria-label={json.dumps(option)}]')")


def frames(page: Page) -> list[np.ndarray]:
    """The frames of the film that is shown."""
    with urlopen(sources(page)[0]) as answer, Image.open(io.BytesIO(answer.read())) as film:
        return [np.asarray(frame.convert("L"), dtype=float) for frame in ImageSequence.Iterator(film)]


def sources(page: Page) -> list[str]:
    found: list[str] = page.value(f"{IMAGES}.map(one => one.src)")
    return found


def changed(page: Page, before: list[str]) -> list[str]:
    """Wait until the pictures are others, and return their addresses."""
    page.until(f"(found => found.length && found.join() !== {','.join(before)!r} && "
               f"found.every(src => src))({IMAGES}.map(one => one.src))")  # fmt: skip
    page.until(f"{IMAGES}.every(one => one.complete && one.naturalWidth)")
    return sources(page)


def sizes(page: Page) -> list[list[int]]:
    found: list[list[int]] = page.value(f"{IMAGES}.map(one => [one.naturalWidth, one.naturalHeight])")
    return found


def walk_through(page: Page, address: str, classes: bool, shots: Path) -> list[np.ndarray]:
    """Images of a seed, another seed, a truncation, a class, and the way from one seed and class to others, whose film
    is returned."""
    page.resize(1200, 900)
    page.call("Page.navigate", url=address)
    first = changed(page, [])
    assert sizes(page) == [[5 * 100 + 4, 2 * 100 + 4]]  # ten images of 96 pixels
    page.screenshot(shots / "images.png")
    click(page, "button", "another seed")
    second = changed(page, first)
    page.value(f"{SLIDER}.value = 0.5; {SLIDER}.dispatchEvent(new Event('input', {{bubbles: true}})); "
               f"{SLIDER}.dispatchEvent(new Event('pointerup', {{bubbles: true}}))")  # fmt: skip
    changed(page, second)
    assert page.value("!!document.querySelector('[aria-label=class]')") == classes
    if classes:
        third = sources(page)
        choose(page, "class", "3")
        changed(page, third)
        page.screenshot(shots / "class.png")
    click(page, "button[role=tab]", "From one to another")
    if classes:
        choose(page, "from class", "1")
        choose(page, "to class", "2")
    click(page, "button", "go")
    page.until(f"{IMAGES}.length === 2")
    changed(page, [])
    film, strip = sizes(page)
    assert film[0] == film[1]
    assert film[0] >= 288
    assert strip == [9 * 100 + 4, 104]
    page.screenshot(shots / "film.png")
    return frames(page)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "classes"), [("biggan", 4), ("stylegan", 0)])
def test_the_app_shows_images_of_seeds_and_the_way_between_them(family: str, classes: int, tmp_path: Path) -> None:
    """A family with classes and truncation of z, and one with psi and without classes."""
    pytest.importorskip("gradio")
    run = unfinished.run(tmp_path, family, classes)
    demo.write(portable.make(run, Fixed()), tmp_path / "demo")
    with browser.running() as chromium, started(tmp_path / "demo") as address:
        page = chromium.page()
        film = walk_through(page, address, bool(classes), tmp_path)
        assert page.complaints == []
    assert len(film) == 2 * 24 - 2  # there and back
    steps = [float(np.abs(one - other).mean()) for one, other in pairwise(film)]
    assert min(steps) > 0
    np.testing.assert_array_equal(film[10], film[-10])
    if classes:  # the class changes half way
        assert max(steps) == steps[11]
