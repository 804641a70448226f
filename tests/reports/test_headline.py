"""The headline: the score, real images beside it, better or worse and by how much."""

from __future__ import annotations

from typing import Any

import pytest
from support.records import record, value

from ganlab.reports.headline import difference, headline


def text(latest: dict[str, Any], held_out: dict[str, Any] | None = None, *earlier: dict[str, Any]) -> str:
    found = headline(latest, held_out, [*earlier, latest])
    assert found is not None
    return f"{found.name} {found.value} ({found.interval}) {' '.join(found.sentences)}"


REAL = {"kind": "real", "split": "validation"}


def test_it_says_the_first_score_and_how_much_worse_it_is_than_of_real_images() -> None:
    latest = record(400, values={"d": value(1.0, better="none"), "fid": value(54.3, 3.0), "is": value(2.0)})
    said = text(latest, record(400, subject=REAL, values={"fid": value(8.2, 4.0)}))
    assert "FID 54.3 (51.3 to 57.3)" in said
    assert "Of the images of iteration 400; lower is better." in said
    assert "Real images that it was not trained on score 8.2: the generated images are worse by 46.1." in said


def test_points_are_called_points() -> None:
    latest = record(400, values={"modes": value(5.0, 1.0, "higher", 8.0)}, selected_on=True)
    latest["protocol"]["quantised"] = False
    said = text(latest)
    assert "Of the points of iteration 400" in said
    assert "The real points that it is compared with have 8: the generated points are worse by 3" in said
    assert "image" not in said


def test_within_the_uncertainty_nothing_is_better_or_worse() -> None:
    latest = record(400, values={"fid": value(10.7, 3.9)})
    said = text(latest, record(400, subject=REAL, values={"fid": value(8.2, 4.0)}))
    assert "score 8.2: the difference is within the uncertainty." in said


@pytest.mark.parametrize(
    ("one", "other", "better", "said"),
    [
        ((5.0, 0.3), (4.0, 0.4), "lower", "worse by 1.00"),  # within ±0.5
        ((5.0, 0.3), (4.0, 0.4), "higher", "better by 1.00"),
        ((4.0, 0.3), (5.0, 0.4), "lower", "better by 1.00"),
        ((4.5, 0.3), (5.0, 0.4), "lower", ""),  # sqrt(0.3² + 0.4²) = 0.5
        ((4.49, 0.3), (5.0, 0.4), "lower", "better by 0.51"),
        ((54.0, 30.0), (5.0, None), "lower", "worse by 49"),
        ((2.0, None), (1.5, None), "higher", "better by 0.5"),
        ((2.0, None), (2.0, None), "higher", ""),
    ],
)
def test_a_difference_counts_if_it_exceeds_both_half_widths_together(
    one: tuple[float, float | None], other: tuple[float, float | None], better: str, said: str
) -> None:
    assert difference(value(*one, better=better), value(*other)) == said


def test_without_held_out_images_the_headline_has_the_references_own_number_or_says_so() -> None:
    said = text(record(400, values={"is": value(3.0, 0.2, "higher", real=7.0)}))
    assert "IS 3.00" in said
    assert "The real images that it is compared with have 7: the generated images are worse by 4.00." in said
    assert "No real images were scored under this protocol" in text(record(400, values={"fid": value(3.0)}))


def test_it_says_what_came_of_the_last_checkpoint_that_was_scored_alike() -> None:
    def one(iteration: int, fid: float, truncation: float | None = None) -> dict[str, Any]:
        return record(iteration, truncation, values={"fid": value(fid, 3.0)})

    said = text(one(400, 20.0), None, one(100, 60.0), one(200, 30.0), one(200, 90.0, 0.5), one(400, 21.0))
    assert "Since iteration 200, which had 30.0, it is better by 10.0." in said
    assert "which had 21.0, it is about the same" in text(one(400, 20.0), None, one(200, 21.0))
    assert "Since" not in text(one(400, 20.0), None, one(200, 90.0, 0.5))


def test_a_score_that_chose_the_checkpoint_is_said_to() -> None:
    assert "This very score chose the checkpoint" in text(record(400, selected_on=True))


def test_where_nothing_is_better_or_worse_there_is_no_headline() -> None:
    values = {"fid": value(None), "std": value(1.0, better="none"), "ms_ssim": value(0.4, better="real", real=0.5)}
    assert headline(record(400, values=values), None, []) is None
