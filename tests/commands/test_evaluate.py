"""``ganlab evaluate``, as its user types it."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.records import record

from ganlab import cli
from ganlab.assembly import experiment
from ganlab.contracts.metric import Context
from ganlab.core.errors import GanlabError
from ganlab.evaluation import scores, sources
from ganlab.evaluation.protocol import preset
from ganlab.evaluation.result import Result
from ganlab.reports import table
from ganlab.runs import run_folder, scoring
from ganlab.runs.run import Run
from ganlab.runs.scoring import keep
from ganlab.sampling import generation

SMALL = ("features.dim=8", "features.width=4", "features.kimg=2", "kid.subset_size=20", "kid.subsets=5")


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path_factory.getbasetemp() / "evaluation-cache"))


def evaluate(*words: object) -> int:
    return cli.dispatch(["evaluate", *map(str, words)])


def test_a_run_is_scored_under_its_datas_own_protocol(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(copied, *SMALL, "samples=60") == 0
    record, real = scores.read(copied)
    assert record["protocol"]["name"] == "digits"
    assert record["protocol"]["samples"] == 60
    assert record["protocol"]["reference"]["split"] == "test"
    assert record["protocol"]["features"]["weights"]
    assert record["subject"] == {
        "kind": "run", "checkpoint": "last.ckpt", "iteration": 4, "kimg": 0.032, "truncation": None
    }  # fmt: skip
    assert real["subject"] == {"kind": "real", "split": "validation"}
    assert real["values"]["fid"]["value"] < record["values"]["fid"]["value"]
    for path in record["pictures"].values():
        with Image.open(copied / path) as picture:
            picture.load()
    out = capsys.readouterr().out
    assert "fid" in out
    assert record["protocol_hash"] in out
    # held-out images are others than the reference
    evaluate(copied, "metrics=fid", *SMALL[:3], "samples=20", "reference=validation")
    assert [r["subject"].get("split") for r in scores.read(copied)[2:]] == [None, "test"]


def test_a_run_without_labels_is_scored_without_what_goes_by_class(train: Callable[..., Path]) -> None:
    """The data has labels, and so the classifier; its generator has none."""
    folder = train("data.num_classes=0", steps=1)
    with pytest.raises(GanlabError, match="per_class needs labels, and these images have none: leave per_class"):
        evaluate(folder, *SMALL[:3], "metrics=fid,per_class", "samples=20")
    assert not (folder / scores.FILE).exists()
    evaluate(folder, *SMALL, "samples=20", "real=false")
    (record,) = scores.read(folder)
    assert {*preset("digits").metrics} - {*record["protocol"]["metrics"]} == {"per_class"}
    assert record["values"]["fid"]["value"] > 0


def test_metrics_checkpoints_and_truncation_are_chosen(copied: Path) -> None:
    chosen = ("metrics=fid,kid", *SMALL, "samples=40", "real=false")
    evaluate(copied, *chosen, "checkpoint=all")
    assert [r["subject"]["iteration"] for r in scores.read(copied)] == [2, 3, 4]
    assert {*scores.read(copied)[0]["values"]} == {"fid", "kid", "kid_std"}
    evaluate(copied, *chosen, "sweep=truncation", "values=0.5:1.0:0.25")
    swept = scores.read(copied)[3:]
    assert [r["subject"]["truncation"] for r in swept] == [0.5, 0.75, 1.0]
    assert len({r["protocol_hash"] for r in scores.read(copied)}) == 1
    values = [r["values"]["fid"]["value"] for r in swept]
    assert len(set(values)) == 3
    # the same again is the same number
    evaluate(copied, *chosen, "truncation=0.5")
    assert scores.read(copied)[-1]["values"] == swept[0]["values"]


def test_the_averaged_or_the_raw_generator_with_the_datas_labels_or_uniform_ones(copied: Path) -> None:
    built = experiment.build(run_folder.read_config(copied))
    built.module.setting.label_shares = torch.tensor([0.75, 0.25])
    run, chosen = Run.of(copied, built), preset("digits")
    scored = []

    class Asked:
        protocol, real = chosen, run.data

        def score(self, source: sources.Source, context: Context, truncation: float | None) -> None:
            scored.append((context.generator, source.count))
            assert context.truncation == truncation
            assert context.labels is not None
            assert torch.equal(context.labels(2, 6), source.rows(2, 6)[1])  # type: ignore[arg-type]

    for ema, samples in ((True, 0), (False, 7)):
        Asked.protocol = chosen.changed({"ema": ema, "samples": samples})
        run.score(Asked(), None if ema else 0.5)  # type: ignore[arg-type]
    test = len(run.data.splits["test"])  # as many as the reference has
    assert scored == [(built.module.average["generator"], test), (built.module.game.generator, 7)]
    assert run._shares(chosen).tolist() == [0.75, 0.25]  # type: ignore[union-attr]
    assert run._shares(chosen.changed({"labels": "uniform"})).tolist() == [0.5, 0.5]  # type: ignore[union-attr]


def test_a_folder_and_an_archive_of_images_are_scored(copied: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for i, pixels in enumerate(np.random.RandomState(0).randint(0, 256, (30, 8, 8), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    options = ("data=digits", "protocol=digits", "metrics=fid,is", *SMALL[:3])
    evaluate(f"images={folder}", *options)
    shutil.make_archive(str(tmp_path / "archive"), "zip", folder)
    evaluate(f"images={tmp_path / 'archive.zip'}", *options)
    first, second = scores.read(tmp_path)
    assert first["subject"]["path"] == str(folder)
    assert first["values"] == second["values"]
    evaluate(f"images={folder}", "data=digits", *SMALL)
    default = scores.read(tmp_path)[2]["protocol"]["metrics"]
    assert {*preset("digits").metrics} - {*default} == {"per_class"}  # a flat folder has no classes
    Image.new("L", (9, 8)).save(folder / "odd.png")
    with pytest.raises(GanlabError, match=r"mixed sizes: 00\.png is 8x8 and odd\.png 9x8"):
        evaluate(f"images={folder}", *options)


def test_images_that_are_no_images_are_named_with_the_option_that_was_typed(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    options = (f"images={folder}", "data=digits", "protocol=digits", "metrics=fid", *SMALL[:3])
    with pytest.raises(GanlabError, match=r"has no images .* point images at one that has"):
        evaluate(*options)
    for i, pixels in enumerate(np.random.RandomState(0).randint(0, 256, (3, 8, 8, 3), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    (folder / "notes.png").write_text("no image")
    with pytest.raises(GanlabError, match=r"1 of 4 images cannot be read: notes\.png\. Make them again"):
        evaluate(*options)
    whole = (folder / "0.png").read_bytes()
    (folder / "notes.png").write_bytes(whole[:-40])
    with pytest.raises(GanlabError, match=r"1 of 4 images cannot be decoded: notes\.png") as caught:
        evaluate(*options)
    assert "data." not in str(caught.value)
    assert not (tmp_path / scores.FILE).exists()
    (folder / "notes.png").write_bytes(whole)
    evaluate(*options)
    assert "4 of the images are in colour, and the data is grey" in scores.read(tmp_path)[0]["warnings"][0]


def test_fewer_samples_than_there_are_images_are_not_the_first_of_them(tmp_path: Path) -> None:
    """Images of class folders come one class after the other."""
    for label in range(2):
        (tmp_path / str(label)).mkdir()
        for i in range(20):
            Image.new("L", (8, 8), 100 * label + i).save(tmp_path / str(label) / f"{i:02}.png")
    source, _, said = sources.of_path(str(tmp_path), (8, 8), 1, 2, count=20)
    images, labels, _ = source.rows(0, source.count)
    values = images[:, 0, 0, 0].tolist()
    assert (source.count, len(set(values)), said) == (20, 20, [])
    assert labels is not None
    assert labels.tolist() == [value // 100 for value in values]
    assert 4 < sum(labels.tolist()) < 16
    again, _, _ = sources.of_path(str(tmp_path), (8, 8), 1, 2, count=20)
    assert torch.equal(again.rows(0, 20)[0], images)
    other, _, _ = sources.of_path(str(tmp_path), (8, 8), 1, 2, count=20, seed=1)
    assert not torch.equal(other.rows(0, 20)[0], images)
    everything = sources.of_path(str(tmp_path), (8, 8), 1, 2, count=60)[0]
    assert everything.count == 40
    images, _, _ = everything.rows(0, 40)
    assert len(set(images[:, 0, 0, 0].tolist())) == 40
    assert 4 < int((images[:20, 0, 0, 0] >= 100).sum()) < 16  # nor is their first half one class


def test_evaluate_says_what_it_takes_of_other_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fewer of them than the protocol wants; class folders that are not the data's."""
    folder = tmp_path / "images"
    for label in range(10):
        (folder / str(label)).mkdir(parents=True)
        for i, pixels in enumerate(np.random.RandomState(label).randint(0, 256, (2, 8, 8), dtype=np.uint8)):
            Image.fromarray(pixels).save(folder / str(label) / f"{i}.png")
    options = (f"images={folder}", "data=digits", "protocol=digits", "metrics=fid", *SMALL[:3])
    evaluate(*options, "samples=20")
    evaluate(*options, "samples=21")
    (folder / "9").rename(folder / "nine")
    evaluate(*options)
    shutil.rmtree(folder / "nine")
    evaluate(*options)
    with pytest.raises(GanlabError, match="per_class needs labels, and these images have none"):
        evaluate(*options, "metrics=per_class")
    assert [record["warnings"] for record in scores.read(tmp_path)] == [
        [],
        ["The protocol asks for 21 samples, and there are 20: all of them."],
        [f"The classes of images={folder} have other names than the data's: 'nine' is taken for '9', and so on in "
         f"order."],
        [f"images={folder} has 9 class folders, and the data 10 classes: labels are not used."],
    ]  # fmt: skip
    assert "note: The protocol asks" in capsys.readouterr().err


def test_statistics_of_a_file_give_the_fid_that_the_images_give(copied: Path, tmp_path: Path) -> None:
    chosen = (copied, "metrics=fid", *SMALL[:3], "samples=40", "real=false")
    evaluate(*chosen)
    np.savez(tmp_path / "wrong.npz", mu=np.zeros(5), sigma=np.eye(5))
    before = (copied / scores.FILE).read_bytes()
    with pytest.raises(GanlabError, match="of another extractor"):
        evaluate(*chosen, f"reference_file={tmp_path / 'wrong.npz'}")
    with pytest.raises(GanlabError, match="kid needs more of the real images"):
        evaluate(copied, "metrics=kid", *SMALL, f"reference_file={tmp_path / 'wrong.npz'}")
    assert (copied / scores.FILE).read_bytes() == before
    np.savez(tmp_path / "right.npz", mu=np.zeros(8), sigma=np.eye(8))
    evaluate(*chosen, f"reference_file={tmp_path / 'right.npz'}")
    assert "statistics" in scores.read(copied)[-1]["protocol"]["reference"]


def test_scores_of_different_protocols_are_not_compared(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(copied, tmp_path / "other"))
    with pytest.raises(GanlabError, match="has no scores yet"):
        evaluate(copied, other)
    for folder, samples in ((copied, 40), (other, 50)):
        evaluate(folder, "metrics=fid", *SMALL[:3], f"samples={samples}", "real=false")
    with pytest.raises(GanlabError, match=rf"samples is 40 for {copied} and 50 for {other}"):
        evaluate(copied, other)
    evaluate(other, "metrics=fid", *SMALL[:3], "samples=40", "real=false")
    capsys.readouterr()
    evaluate(copied, other)
    assert "copied" in capsys.readouterr().out
    last = scores.read(other)[-1]
    scores.append(other, {**last, "during_training": True, "protocol": {**last["protocol"], "samples": 3}})
    evaluate(copied, other)
    truncated = record(4, 0.5)
    for folder, line in ((copied, record(4)), (other, truncated)):
        scores.append(folder, line)
    with pytest.raises(GanlabError, match=r"truncation is null for .* and 0\.5 for "):
        evaluate(copied, other)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "takes a run folder, or images="),
        (("{run}", "metric=fid"), "no option 'metric'. Did you mean 'metrics'"),
        (("{run}", "protocol=studiogen"), "No protocol is called 'studiogen'. Did you mean 'studiogan'"),
        (("{run}", "checkpoint=7"), "has no checkpoint '7'"),
        (("{run}", "checkpoint=best"), "has no best checkpoint: a run keeps one where evaluate.every_kimg= is set"),
        (("{run}", "sweep=truncation"), "go together"),
        (("{run}", "sweep=truncation", "values=1:0:1"), "must be LOW:HIGH:STEP"),
        (("{run}", "data=digits"), "goes with images="),
        (("images=nowhere", "data=digits"), "There is no folder or archive images=nowhere"),
        (("images=nowhere",), "say which"),
        (("{run}", "metrics="), "metrics= is empty"),
        (("{run}", "features=inception", "features.path=nowhere.pth", "metrics=fid"), "There is no file nowhere.pth"),
        (("{run}", "metrics=fid", "reference_images=9999", "features.kimg=1"), "the test split has 224 images"),
        (("{run}", "device=gpu"), "There is no device=gpu here, only cpu"),
        (("{run}", "out=elsewhere"), "out=elsewhere has no effect here"),
        (("images={run}", "data=digits", "truncation=0.5"), "truncation=0.5 has no effect here, since images= are"),
        (("{run}", "samples=1", "metrics=fid", *SMALL[:3]), "at least two generated images"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(copied: Path, words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(GanlabError) as caught:
        evaluate(*(word.format(run=copied) for word in words))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (copied / scores.FILE).exists()


def test_a_checkpoint_that_was_cut_in_half_is_passed_over_with_a_message(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = copied / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    chosen = ("metrics=fid", *SMALL[:3], "samples=40", "real=false")
    evaluate(copied, *chosen)
    assert "last.ckpt is no whole checkpoint" in (said := capsys.readouterr().err)
    assert "The one before it, step_000000003.ckpt, is evaluated." in said
    evaluate(copied, *chosen, "checkpoint=all")
    assert "It is passed over." in capsys.readouterr().err
    assert [r["subject"]["iteration"] for r in scores.read(copied)] == [3, 2, 3]
    with pytest.raises(GanlabError, match="no whole checkpoint"):
        evaluate(copied, *chosen, "checkpoint=last.ckpt")


def test_what_was_measured_is_shown_where_it_cannot_be_written(
    copied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = (copied, "metrics=fid", *SMALL[:3], "samples=40", "real=false")
    evaluate(*chosen)
    with (copied / scores.FILE).open("ab") as file:
        file.write(b"\n" * 50_000)  # longer than a picture
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    capsys.readouterr()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(generation, "write_png", full)
        with pytest.raises(GanlabError, match=r"samples\.png cannot be written: No space left on device"):
            evaluate(*chosen)
    assert "fid" in capsys.readouterr().out
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:  # room for a picture, and for the beginning of a line
        resource.setrlimit(resource.RLIMIT_FSIZE, ((copied / scores.FILE).stat().st_size + 100, hard))
        with pytest.raises(GanlabError, match=r"evaluation\.jsonl cannot be written: "):
            evaluate(*chosen)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before
    assert len(list((copied / "evaluation").iterdir())) == 1


@pytest.mark.parametrize(("count", "size"), [(7, (1, 7)), (25, (2, 10)), (300, (10, 10)), (1, (1, 1))])
def test_grids_have_no_empty_places(count: int, size: tuple[int, int], tmp_path: Path) -> None:
    lines = {"time": "t", "protocol_hash": "h", "during_training": False, "pictures": {}}
    written = keep(tmp_path, lines, Result({}, {}, torch.zeros(count, 1, 32, 32).byte(), 1.0))
    with Image.open(tmp_path / written["pictures"]["samples"]) as picture:
        assert picture.size == (size[1] * 34 + 2, size[0] * 34 + 2)
        assert [picture.getpixel((34 * i + 18, 34 * size[0] - 16)) for i in range(size[1])] == [0] * size[1]


def test_two_evaluations_at_a_time_keep_their_own_pictures(copied: Path) -> None:
    """As two processes of one second do: neither has written its line when the other chooses its folder."""
    found = [
        keep(tmp, {"time": "t", "protocol_hash": "h", "during_training": False, "pictures": {}}, result)
        for tmp, result in [(copied, Result({}, {}, torch.zeros(1, 1, 8, 8).byte(), 1.0))] * 2
    ]
    (copied / scores.FILE).unlink()
    assert len({record["pictures"]["samples"] for record in found}) == 2


def test_many_scores_are_shown_three_at_a_time() -> None:
    printed = table.table([record(100 * i) for i in range(1, 8)])
    assert max(map(len, printed.splitlines())) < 140
    assert [f"iteration {100 * i}" in printed for i in range(1, 8)] == [True] * 7


def test_a_torn_line_is_passed_over_and_what_was_measured_too_late_is_forgotten(tmp_path: Path) -> None:
    for iteration in (1, 2, 3):
        scores.append(tmp_path, record(iteration, during_training=True))
    scores.append(tmp_path, record(9))
    with (tmp_path / scores.FILE).open("a") as file:
        file.write('{"protocol": {')
    assert len(scores.read(tmp_path)) == 4
    scores.append(tmp_path, record(1, during_training=True))  # and does not take the next one along
    assert [r["subject"]["iteration"] for r in scores.read(tmp_path)] == [1, 2, 3, 9, 1]
    before = (tmp_path / scores.FILE).read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.replace", lambda *_: Path("/").write_text(""))
        with pytest.raises(GanlabError, match=r"evaluation\.jsonl cannot be written: "):
            scores.forget_after(tmp_path, 2)
    assert (tmp_path / scores.FILE).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [scores.FILE]
    scores.forget_after(tmp_path, 2)
    assert [r["subject"]["iteration"] for r in scores.read(tmp_path)] == [1, 2, 9, 1]
    assert json.loads((tmp_path / scores.FILE).read_text().splitlines()[-1])["subject"]["iteration"] == 1


def test_values_of_a_sweep() -> None:
    assert scoring.sweep_values("0.3:1.0:0.1") == [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert scoring.sweep_values("[0.5,2]") == [0.5, 2.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [("0.1:1:1e-12", "more than 1,000 thresholds"), ("0.1:inf:1", "all positive"), ("nan", "all positive")],
)
def test_values_of_a_sweep_that_no_machine_can_serve(text: str, message: str) -> None:
    with pytest.raises(GanlabError, match=message):
        scoring.sweep_values(text)


def test_a_score_on_some_of_the_images_that_chose_a_checkpoint_is_marked_too() -> None:
    def of(split: str, count: int, during_training: bool) -> dict[str, Any]:
        reference = {"split": split, "count": count, "data": "d"}
        subject = {"checkpoint": "best.ckpt", "iteration": 4}
        return {"subject": subject, "during_training": during_training, "protocol": {"reference": reference}}

    before = [of("validation", 224, True), of("test", 224, False)]
    marked = [scoring._selected_on(of(split, 50, False), before) for split in ("validation", "test")]
    assert marked == [True, False]


@pytest.mark.parametrize("name", ["1" * 400, "x" * 400])
def test_a_protocol_whose_name_no_file_can_have_is_not_there(copied: Path, name: str) -> None:
    with pytest.raises(GanlabError, match=f"No protocol is called '{name}'"):
        evaluate(copied, f"protocol={name}")
