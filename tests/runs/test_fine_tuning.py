"""``init=RUN``: a run begins with another one's weights and recipe."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.testing import assert_close

import ganlab
from ganlab import cli
from ganlab.assembly import experiment
from ganlab.assembly.experiment import Experiment
from ganlab.config import compose
from ganlab.core.errors import GanlabError
from ganlab.runs import fine_tuning, inherited
from ganlab.runs.run import Run

SMALL = ("trainer.accelerator=cpu", "data.batch_size=8", "sample.count=10", "checkpoint.every_steps=1", "seed=5")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("base") / "run"
    return ganlab.train(
        [*SMALL, "model=biggan", "data.image_size=32", "generator.width=2", "discriminator.width=2",
         "loss=non_saturating", "reg=sn", "reg.sn.players=[discriminator,generator]", "reg.sn.eps=1e-6",
         "optimizer.generator.lr=1e-3",
         "trainer.max_steps=3", f"run.dir={folder}"]
    )  # fmt: skip


def begun(base: Run, *words: str) -> tuple[Experiment, list[str]]:
    """The module of a run that begins with ``base``, before its first iteration, and what was said."""
    line = [*SMALL, f"init={base.folder}", *words]
    built = experiment.build(compose.read(line, inherited.options(line)))
    return built, fine_tuning.start_from(built.module, built.config)


def test_networks_and_averages_are_those_of_the_run(base: Run) -> None:
    built, messages = begun(base, "seed=9")
    assert messages == []
    before, after = base.module.state_dict(), built.module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    name = "generator.linear.parametrizations.weight.original"
    assert not torch.equal(after[f"game.{name}"], after[f"average.{name}"])
    assert built.module.progress.iteration == 0


def test_the_recipe_is_the_runs_unless_the_command_line_says_otherwise(base: Run) -> None:
    config = begun(base, "loss=hinge", "optimizer.generator.lr=5e-4")[0].config
    assert config["loss"].plain() == {"component": "hinge", "margin": 1.0}
    assert config.of("reg") == base.config.of("reg")
    assert config["optimizer.generator"].options["lr"] == 5e-4
    config = begun(base)[0].config
    for part in ("generator", "discriminator", "loss", "reg", "game", "prior", "optimizer", "state_updates"):
        assert config.plain()[part] == base.config.plain()[part]
    assert config.data.image_size == 32
    assert config.ema.ramp_up is None
    assert config.max_steps != 3


def test_another_class_count_starts_the_embeddings_afresh_and_nothing_else(base: Run, tmp_path: Path) -> None:
    from PIL import Image

    for label in range(3):
        (tmp_path / "images" / str(label)).mkdir(parents=True)
        for number in range(4):
            Image.new("L", (32, 32), 60 * label + number).save(tmp_path / f"images/{label}/{number}.png")
    built, (message,) = begun(base, "data=folder", f"data.path={tmp_path / 'images'}")
    assert "has 10 classes, the data 3: what belongs to classes starts afresh" in message
    assert "generator.embedding, discriminator.head.embedding" in message
    fresh = experiment.build(built.config).module.state_dict()
    before, after = base.module.state_dict(), built.module.state_dict()
    embeddings = [name for name in after if "embedding" in name]
    assert len(embeddings) == 4  # one of the generator and of its average, a weight and its vector in the head
    for name, value in after.items():
        if value.shape == before[name].shape:  # of the head's two, the vector as well is as long as there are classes
            assert torch.equal(value, before[name]), name
        else:
            assert name in embeddings
            assert torch.equal(value, fresh[name]), name
    assert sum(value.shape != before[name].shape for name, value in after.items()) == 4


def test_the_average_goes_on_from_where_it_was(base: Run, tmp_path: Path) -> None:
    """After an iteration of b images it is lerp(average, weights, 1 - 2^(-b / half-life)), not a copy."""
    tuned = ganlab.train([*SMALL, f"init={base.folder}", "trainer.max_steps=1", f"run.dir={tmp_path / 'run'}"])
    decay = 0.5 ** (8 / 10_000)
    name = "generator.output.bias"
    expected = torch.lerp(
        base.module.state_dict()[f"average.{name}"], tuned.module.state_dict()[f"game.{name}"], 1 - decay
    )
    assert_close(tuned.module.state_dict()[f"average.{name}"], expected)
    assert tuned.iteration == 1
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["init"] == str(base.folder)


def test_spectral_norm_may_be_taken_off_and_put_on(base: Run, tmp_path: Path) -> None:
    """Without it weights are W/σ: the same images. Put on again, W/σ has σ = 1 if the vectors had converged."""
    plain = begun(base, "reg=none")[0].module
    z, y = torch.randn(4, base.generator.latent_dim), torch.tensor([0, 3, 5, 9])
    with torch.no_grad():
        assert_close(plain.average["generator"](z, y), base.generator(z, y), atol=1e-5, rtol=1e-4)
        games: tuple[Any, Any] = (plain.eval().game, base.module.game)
        assert_close(games[0].generator(z, y), games[1].generator(z, y), atol=1e-5, rtol=1e-4)
    normalized, _ = begun(base, "reg=sn", "reg.sn.players=[discriminator,generator]", "reg.sn.evaluation=stored")
    assert [key for key in normalized.module.state_dict() if key.endswith("0.v")]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["generator.width=4"], "game.generator.linear.parametrizations.weight.original is"),
        (["data.num_classes=0"], "game.generator.embedding.weight is unknown here"),
        (["generator.kernel_size=5"], "game.generator.blocks.0.conv1.parametrizations.weight.original is"),
        (["model=dcgan"], "its weights do not fit these networks"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(base: Run, words: list[str], sentence: str) -> None:
    with pytest.raises(GanlabError) as caught:
        begun(base, *words)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["init=nowhere"], "There is no run folder nowhere."),
        (["init=3"], "There is no run folder 3."),
        (["-m", "init=a,b"], "begins with one run's weights"),
    ],
)
def test_what_is_no_run_is_refused_in_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        cli.main(["train", *words])
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())
