"""Scores during training, the best checkpoint, and a run that is killed while it is evaluated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.records import value
from support.runs import TINY

from ganlab import cli
from ganlab.config import compose
from ganlab.contracts.metric import Score, Value
from ganlab.core.errors import GanlabError
from ganlab.evaluation import one_pass, scores
from ganlab.metrics.fid import FID
from ganlab.runs import checkpoints, session
from ganlab.runs.checkpoints import BEST

# of the tiny run: 8 images an iteration, so evaluations after iterations 2, 4 and 6
EVALUATED = (
    "evaluate.every_kimg=0.016",
    "evaluate.metrics=[fid]",
    "evaluate.protocol=tiny",
    "checkpoint.every_steps=1",
    "checkpoint.keep=9",
    "sample.every_steps=100",
)


@pytest.fixture(autouse=True)
def _small(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path_factory.getbasetemp() / "evaluation-cache"))
    (tmp_path / "conf" / "protocol").mkdir(parents=True)
    (tmp_path / "conf" / "protocol" / "tiny.yaml").write_text(
        "features: {component: classifier, dim: 8, width: 4, kimg: 2}\nmetrics: {fid: {}, is: {}}\nsamples: 50\n"
    )
    monkeypatch.chdir(tmp_path)


def lines(folder: Path) -> list[tuple[int, float]]:
    return [(r["subject"]["iteration"], r["values"]["fid"]["value"]) for r in scores.read(folder)]


@pytest.fixture
def whole(train: Callable[..., Path]) -> Path:
    return train(*EVALUATED, name="whole", steps=6)


def test_the_best_checkpoint_is_kept_and_a_score_that_chose_it_is_marked(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = lines(whole)
    assert [iteration for iteration, _ in measured] == [2, 4, 6]
    best = min(measured, key=lambda line: line[1])[0]
    stored = checkpoints.load(whole / "checkpoints" / BEST)
    assert stored["ganlab"]["progress"]["iteration"] == best
    assert {r["protocol"]["reference"]["split"] for r in scores.read(whole)} == {"validation"}

    chosen = ("evaluate", str(whole), "protocol=tiny", "checkpoint=best", "metrics=fid", "real=false")
    cli.dispatch([*chosen, "reference=validation"])
    cli.dispatch([*chosen, "reference=test"])
    cli.dispatch([*chosen, "reference=validation", "reference_images=100"])
    capsys.readouterr()
    cli.dispatch([*chosen[:3], "checkpoint=all", *chosen[4:], "reference=validation"])
    again, reported, part, *each = scores.read(whole)[3:]
    # the weights and the protocol are those of training, so the number is too
    assert (again["values"]["fid"]["value"], again["selected_on"]) == (pytest.approx(dict(measured)[best]), True)
    assert reported["selected_on"] is False
    assert part["selected_on"] is True
    # the same weights under the name of their iteration, and others
    assert {r["subject"]["iteration"]: r["selected_on"] for r in each} == {i: i == best for i in range(1, 7)}
    assert BEST not in {r["subject"]["checkpoint"] for r in each}
    assert capsys.readouterr().out.count(f"iteration {best} (selected on)") == 1


def test_the_best_checkpoint_of_a_score_that_should_be_high_has_the_highest(train: Callable[..., Path]) -> None:
    folder = train(*EVALUATED, "evaluate.metrics=[is]", name="high", steps=6)
    measured = {r["subject"]["iteration"]: r["values"]["is"]["value"] for r in scores.read(folder)}
    assert len(set(measured.values())) > 1
    stored = checkpoints.load(folder / "checkpoints" / BEST)
    assert stored["ganlab"]["progress"]["iteration"] == max(measured, key=lambda i: measured[i])


def test_the_best_of_a_score_that_should_be_as_of_real_images_is_the_nearest_to_theirs(
    train: Callable[..., Path],
) -> None:
    folder = train(*EVALUATED, "evaluate.metrics=[ms_ssim]", name="near", steps=6)
    values = {r["subject"]["iteration"]: r["values"]["ms_ssim"] for r in scores.read(folder)}
    distances = {i: abs(v["value"] - v["real"]) for i, v in values.items()}
    assert len(set(distances.values())) == 3
    stored = checkpoints.load(folder / "checkpoints" / BEST)
    assert stored["ganlab"]["progress"]["iteration"] == min(distances, key=lambda i: distances[i])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("evaluate.metrics=[ppl]",), "ppl needs a generator with a w space"),
        (("evaluate.metrics=[fid,per_class]", "data.num_classes=0"), "per_class needs labels, and these images have"),
    ],
)
def test_a_score_that_cannot_be_had_stops_a_run_before_it_begins(
    words: tuple[str, ...], sentence: str, train: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(GanlabError, match=sentence):
        train(*EVALUATED, *words, name="refused")
    assert not [*(tmp_path / "refused").rglob("*.ckpt")]


def test_of_equal_scores_the_first_checkpoint_is_kept(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FID, "score", lambda self, kept, context: Score({"fid": Value(3.0, better="lower")}))
    folder = train(*EVALUATED, name="equal", steps=6)
    assert lines(folder) == [(2, 3.0), (4, 3.0), (6, 3.0)]
    assert checkpoints.load(folder / "checkpoints" / BEST)["ganlab"]["progress"]["iteration"] == 2


def test_a_resumed_run_counts_images_from_where_it_was(whole: Path, train: Callable[..., Path]) -> None:
    """At 16 images it has been evaluated, and the next time is at 32, not with the next batch."""
    folder = train(*EVALUATED, name="resumed", steps=2)
    assert lines(folder) == lines(whole)[:1]
    session.resume(folder, {"trainer.max_steps": 6})
    assert lines(folder) == lines(whole)


def test_the_page_is_there_after_training_and_pictures_do_not_grow_in_number(whole: Path) -> None:
    assert "Over training" in (whole / "evaluation.html").read_text(encoding="utf-8")
    assert [path.relative_to(whole / "evaluation").as_posix() for path in (whole / "evaluation").rglob("*.png")] == [
        "training/samples.png"
    ]


class Killed(BaseException):
    pass


def test_a_run_that_is_killed_in_the_middle_of_an_evaluation_measures_the_same_when_resumed(
    whole: Path, train: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Iterator[int] = iter(range(1, 10))
    collect = one_pass.collect

    def killing(*arguments: Any) -> Any:
        if next(calls) == 2:  # real images are in the cache already, so this is the second evaluation
            raise Killed
        return collect(*arguments)

    monkeypatch.setattr(one_pass, "collect", killing)
    folder = tmp_path / "killed"
    words = [*TINY, "trainer.max_steps=6", f"run.dir={folder}", *EVALUATED]
    with pytest.raises(Killed):
        session.start(compose.read(words))
    assert lines(folder) == lines(whole)[:1]
    monkeypatch.setattr(one_pass, "collect", collect)
    session.resume(folder)
    assert lines(folder) == lines(whole)
    assert (folder / "checkpoints" / BEST).is_file()


def test_options_are_checked_before_training(train: Callable[..., Path], tmp_path: Path) -> None:
    for option, sentence in (
        ("evaluate.metrics=[fidd]", "Did you mean 'fid'"),
        ("evaluate.reference=tset", "reference must be one of"),
        ("evaluate.every_kimg=-1", "must be positive"),
    ):
        with pytest.raises(GanlabError, match=sentence):
            train("evaluate.every_kimg=1", option, name="refused")
        assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize(
    ("measured", "loss"),
    [
        (value(3.0, better="lower"), 3.0),
        (value(3.0, better="higher"), -3.0),
        (value(3.0, better="real", real=5.0), 2.0),
        (value(8.0, better="real", real=5.0), 3.0),
        (value(3.0, better="real"), math.inf),
        (value(3.0, better="none"), math.inf),
        (value(None), math.inf),
        (value(math.nan), math.inf),
    ],
)
def test_the_best_has_the_least_loss(measured: dict[str, Any], loss: float) -> None:
    assert scores.loss(measured) == loss
