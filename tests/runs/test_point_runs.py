"""Runs on points: trained, sampled, scored and refused as a user would."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from support.runs import picture

import ganlab
from ganlab import cli
from ganlab.config import compose
from ganlab.core.errors import GanlabError
from ganlab.data.ring import Ring
from ganlab.evaluation import scores
from ganlab.runs import session

POINTS = ("data=ring", "data.count=200", "model=mlp", "generator.width=8", "generator.depth=1",
          "generator.latent_dim=4", "discriminator.width=8", "discriminator.depth=1", "data.batch_size=8",
          "sample.count=50", "trainer.log_every_n_steps=1", "trainer.accelerator=cpu")  # fmt: skip


def dispatch(*words: str) -> int:
    return cli.dispatch([*words])


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("points") / "run"
    words = [*POINTS, "reg=r1", "watch=[memorization,gradients]", "watch.every_steps=2", "guard.every_steps=2",
             "evaluate.every_kimg=0.016",
             "evaluate.samples=40", "evaluate.reference=test", "trainer.max_steps=4", f"run.dir={folder}"]  # fmt: skip
    session.start(compose.read(words))
    return folder


def test_a_run_on_points_trains_scores_and_plots(ring: Path) -> None:
    line = json.loads((ring / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["memorization/d_train"] >= 0
    assert line["guard/images/diversity"] > 0
    during = [record for record in scores.read(ring) if record["during_training"]]
    assert [next(iter(record["values"])) for record in during] == ["modes", "modes"]
    assert during[0]["protocol"]["quantised"] is False
    assert picture(ring / "samples" / "iteration_000000004.png").size == (512, 512)
    assert (ring / "checkpoints" / "best.ckpt").is_file()


def test_the_discriminator_sees_points_as_they_are(ring: Path) -> None:
    """Logits of `Run.discriminator`, which a metric calls, are those of the network itself."""
    run = ganlab.load(ring)
    points = torch.from_numpy(Ring(count=200).points)[:5, :, None, None]
    network = run.module.game.get_submodule("discriminator")
    judge = run.discriminator()
    assert judge is not None
    assert torch.equal(judge(points, None, True), network(points).detach())


def test_samples_are_written_as_plots_and_as_tables(ring: Path, tmp_path: Path) -> None:
    for name in ("a.png", "a.npz", "a.csv"):
        assert dispatch("sample", str(ring), f"out={tmp_path / name}", "count=20") == 0
    assert (
        dispatch("sample", str(ring), f"out={tmp_path / 'walk.webp'}", "kind=interpolation", "count=3", "steps=3") == 0
    )
    for kind in ("interpolation", "truncation"):
        assert dispatch("sample", str(ring), f"out={tmp_path / kind}.png", f"kind={kind}", "count=3") == 0
    expected = ganlab.load(ring).sample(20).flatten(1).numpy()
    with np.load(tmp_path / "a.npz") as file:
        assert np.array_equal(file["arr_0"], expected)
    table = np.loadtxt(tmp_path / "a.csv", delimiter=",", skiprows=1, dtype=np.float32)
    assert np.array_equal(table, expected)
    assert dispatch("evaluate", f"images={tmp_path / 'a.csv'}", "data=ring", "samples=20", f"out={tmp_path}") == 0
    (record,) = scores.read(tmp_path)
    assert list(record["values"])[:3] == ["modes", "good_samples", "modes_reverse_kl"]


def test_an_evaluation_scores_points_and_draws_them(ring: Path) -> None:
    assert dispatch("evaluate", str(ring), "samples=40", "checkpoint=last") == 0
    record = scores.read(ring)[-1]
    assert record["protocol"]["name"] == "mixture"
    assert record["protocol"]["features"] is None
    assert list(record["protocol"]["metrics"]) == ["modes", "sliced_wasserstein", "energy_distance"]
    assert picture(ring / record["pictures"]["samples"]).size == (516, 516)


SCORED = "evaluate.every_kimg=1"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.mirror=true"], "data.mirror=true is for images, and data=ring has points: leave it out."),
        (["data.dequantize=true"], "data.dequantize=true is for images"),
        (["data.image_size=8"], "data.image_size is of images"),
        (["data.image_channels=1"], "the points of data=ring have 2 coordinates"),
        (["generator=sngan"], "generator=sngan makes or judges images, and data=ring has points: take model=mlp."),
        (["augment=ada"], "augment=ada changes images, and this game has points"),
        (["augment=diff_augment"], "augment=diff_augment changes images"),
        (["reg=consistency"], "reg=consistency mirrors and shifts images"),
        (["watch=diversity"], "watch=diversity: it needs features of images, and the data has points"),
        ([SCORED, "evaluate.metrics=[fid]"], "fid scores images, and the data has points: take metrics=modes,"),
        ([SCORED, "evaluate.features=inception"], "features=inception looks at images"),
        (["data=swiss_roll", SCORED, "evaluate.metrics=[modes]"], "modes needs data whose modes are known"),
        (["data=digits", SCORED, "evaluate.metrics=[modes]"], "modes scores points, and the data has images"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused_at_the_start_in_one_sentence(
    words: list[str], said: str, tmp_path: Path
) -> None:
    small = [] if words[0].startswith("data=") else ["data=ring", "data.count=200"]
    given = [
        *small,
        "model=mlp",
        "trainer.accelerator=cpu",
        *words,
        "trainer.max_steps=1",
        f"run.dir={tmp_path / 'run'}",
    ]
    with pytest.raises(GanlabError) as error:
        session.start(compose.read(given))
    assert said in str(error.value)
