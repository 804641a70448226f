"""examples/ablation: BigGAN's table 1 is one multirun command, each row one change more."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from ganlab.config import command_line, compose, configuration
from ganlab.runs.sweeps import plan
from ganlab.runs.sweeps import words as sweep_words

FOLDER = Path(__file__).parents[2] / "examples/ablation"
ROWS = sorted(file.stem for file in (FOLDER / "conf/experiment").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _in_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)


def commands() -> list[list[str]]:
    text = (FOLDER / "README.md").read_text().replace("\\\n", " ")
    found = re.findall(r"^    ganlab train -m (.*)$", text, re.MULTILINE)
    return [shlex.split(line) for line in found]


def test_the_sweep_over_the_rows_composes() -> None:
    plan.check(sweep_words.split(commands()[1]))


@pytest.mark.parametrize("which", [0, -1])
def test_the_first_and_the_last_job_of_the_crossed_factors_compose(which: int) -> None:
    words = []
    for o in command_line.parse(commands()[2]):
        values = list(o.sweep_string_iterator()) if o.is_sweep_override() else []
        words.append(f"{o.get_key_element()}={values[which]}" if values else str(o.input_line))
    compose.read(words)


def sweeps(words: list[str]) -> list[Any]:
    return [override for override in command_line.parse(words) if override.is_sweep_override()]


def test_one_command_runs_all_rows_and_another_crosses_the_factors() -> None:
    whole, small, crossed = (
        {
            o.get_key_element(): list(o.sweep_string_iterator())
            for o in command_line.parse(words)
            if o.is_sweep_override()
        }
        for words in commands()
    )
    assert whole == small == {"experiment": ROWS}
    assert {key: len(values) for key, values in crossed.items()} == {
        "reg": 2,
        "data.batch_size": 2,
        "generator.width": 2,
        "generator.shared_embedding": 2,
        "generator.hierarchical": 2,
    }


def test_the_rows_are_those_of_the_table() -> None:
    """(batch, channels, shared embedding, hierarchical latents, orthogonal regularization), from SAGAN's on."""
    found = []
    for row in ROWS:
        composed = compose.composed([f"experiment={row}"])
        configuration.checked(composed)
        generator = composed["generator"]
        assert composed["discriminator"]["width"] == generator["width"]
        assert composed["game"]["discriminator_steps"] == 2
        half_life = 6931.125 * 2 * composed["data"]["batch_size"] / 1000
        assert composed["ema"]["half_life_kimg"] == pytest.approx(half_life, abs=0.06)
        found.append(
            (
                composed["data"]["batch_size"],
                generator["width"],
                generator["shared_embedding"],
                generator["hierarchical"],
                "ortho" in composed["reg"],
            )
        )
    assert found == [
        (256, 64, False, False, False),
        (512, 64, False, False, False),
        (1024, 64, False, False, False),
        (2048, 64, False, False, False),
        (2048, 96, False, False, False),
        (2048, 96, True, False, False),
        (2048, 96, True, True, False),
        (2048, 96, True, True, True),
    ]
