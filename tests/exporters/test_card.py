"""The model card has the scores of what is exported, each under its protocol, and stays what it is: Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ganlab.evaluation import scores
from ganlab.exporters import card, markdown, portable
from ganlab.exporters.portable import Fixed
from ganlab.runs.run import Run


def record(fid: float, kind: str = "run", truncation: float | None = None, **more: Any) -> scores.Record:
    """An evaluation: FID of a name that is Markdown, and a number without an order."""
    protocol = {
        "name": "digits",
        "features": {"component": "classifier", "weights": "abcdef", "resize": "none"},
        "samples": 200,
        "reference": {"split": "test", "count": 224},
        "truncation": truncation,
        "ema": True,
        "labels": "data",
        "seed": 3,
    }
    protocol |= more.pop("protocol", {})
    subject = {"kind": kind, "split": "validation"} if kind == "real" else {
        "kind": kind, "checkpoint": "last.ckpt", "iteration": more.pop("iteration", 4), "kimg": 0.0,
        "truncation": truncation}  # fmt: skip
    value = {"low": fid - 1, "high": fid + 1, "better": "lower", "real": None, "about": "", "meaning": ""}
    plain = {**value, "low": None, "high": None, "better": "none", "about": "over | subsets"}
    return {
        "time": "2026-11-27T12:00:00", "subject": subject, "protocol": protocol,
        "protocol_hash": f"{protocol['name']}-{truncation}-{protocol['ema']}", "selected_on": False,
        "during_training": False, "values": {"f_i_d": {**value, "value": fid}, "std": {**plain, "value": 0.25}},
        "details": {}, "figures": {}, "pictures": {}, "warnings": [], "images_per_second": 1.0, **more,
    }  # fmt: skip


def written(folder: Path, records: list[scores.Record], fixed: Fixed | None = None) -> list[str]:
    """The lines of the card of a run that has these evaluations."""
    for one in records:
        scores.append(folder, one)
    made = portable.make(Run(folder), fixed or Fixed(), license="mit", data_license="cc0-1.0", hub_name="me/mine")
    return card.text(made, {"library_name": "ganlab"}, "").splitlines()


def test_scores_are_those_of_the_averaged_weights_of_the_checkpoint_under_their_protocols(copied: Path) -> None:
    lines = written(copied, [
        record(9.0, "real"),
        record(91.0),
        record(12.345, warnings=["few images"], selected_on=True),  # the newest of its protocol
        record(93.0, iteration=3),
        record(94.0, protocol={"ema": False}),
        record(95.0, truncation=0.5),
        record(33.0, protocol={"name": "fast"}, time="2026-11-27T13:00:00"),
    ])  # fmt: skip
    assert "Numbers of different protocols are not comparable." in lines
    assert [line for line in lines if line.startswith("###")] == ["### Protocol fast", "### Protocol digits"]
    rows = [line for line in lines if line.startswith(r"| f\_i\_d |")]
    assert rows == [
        r"| f\_i\_d | 33.0 | 32.0 to 34.0 | lower is better |",
        r"| f\_i\_d | 12.3 | 11.3 to 13.3 | 9.0 | lower is better |",
    ]
    assert r"| std | 0.25 | 0.25 | over \| subsets |" in lines
    words = next(line for line in lines if "flatters" in line)
    assert words.startswith("features classifier · 200 samples against 224 test images · averaged weights")
    assert words.endswith(
        "seed 3. Of latents without truncation. This very score chose the checkpoint, so it flatters it."
    )
    assert "- few images" in lines
    assert '    "weights": "abcdef",' in lines
    assert lines.count("</details>") == 1 + 2 + 2  # options; further numbers and the protocol of each


def test_scores_of_other_images_say_so(copied: Path) -> None:
    lines = written(copied, [record(12.0), record(15.0, truncation=0.5)], Fixed(truncation=0.5))
    assert next(line for line in lines if "Of latents" in line).endswith("Of latents truncated at 0.5.")
    assert not any("| 12.0 |" in line for line in lines)
    lines = written(copied, [], Fixed(truncation=0.5, standing_statistics=1))
    assert sum("The images of this export are drawn otherwise (see above)" in line for line in lines) == 2
    lines = written(copied, [], Fixed(truncation=0.3))
    assert sum("The images of this export are drawn otherwise (see above)" in line for line in lines) == 2


@pytest.mark.parametrize("iteration", [None, 3])
def test_a_checkpoint_without_scores_says_how_to_get_them(iteration: int | None, copied: Path) -> None:
    lines = written(copied, [] if iteration is None else [record(1.0, iteration=iteration), record(2.0, "real")])
    assert "This checkpoint was not scored: `ganlab evaluate RUN` does it." in lines
    assert not any("Protocol" in line for line in lines)


def test_the_licence_of_the_embedded_digits_is_known(copied: Path) -> None:
    assert "Weights: mit. Data: cc0-1.0." in written(copied, [])
    known = card.text(portable.make(Run(copied), Fixed(), license="mit"), {}, "")
    assert "Weights: mit. Data: cc-by-4.0." in known.splitlines()


def test_a_block_of_code_ends_where_its_text_does() -> None:
    lines = markdown.code("yaml", "name: |\n```\n# heading ````\n")
    assert lines[0] == "```yaml"
    assert lines[-1] == "```"
    assert "```" not in "".join(lines[1:-1])


def test_texts_of_others_are_no_markdown_and_no_html(copied: Path) -> None:
    evil = "<script>x</script> | [a](b)\n# `c`"
    lines = written(copied, [record(1.0, warnings=[evil], protocol={"name": "```\n" + evil})])
    text = "\n".join(lines)
    assert "<script>" not in text.replace(json.dumps(evil)[1:-1], "")
    assert r"- &lt;script&gt;x&lt;/script&gt; \| \[a\](b) \# \`c\`" in lines
    assert sum(line.startswith("```") for line in lines) % 2 == 0
