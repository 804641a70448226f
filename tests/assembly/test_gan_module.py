"""ganlab.GANModule in a plain Trainer: networks, loaders, logging, checkpoints, and the command line's own weights."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from support import lightning_trainer
from support.lightning_trainer import D, G, LabelledD, LabelledG, images, labels, quiet
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import ganlab
from ganlab.assembly import experiment, lightning_check, run_networks
from ganlab.config import compose
from ganlab.engine.module import GameModule
from ganlab.losses.hinge import Hinge
from ganlab.metrics import as_torchmetric
from ganlab.optimizers import sgd
from ganlab.regularizers.r1 import R1

Loader = DataLoader[Any]


def made(seed: int = 0, **options: Any) -> ganlab.GANModule:
    torch.manual_seed(seed)
    return ganlab.GANModule.of(**{"generator": G(), "discriminator": D(), **options})


def fitted(module: ganlab.GANModule, folder: Path, loader: Any, steps: int = 2, **options: Any) -> ganlab.GANModule:
    quiet(folder, steps, **options).fit(module, loader)
    return module


def batches(*given: Any) -> Loader:
    """A loader of these batches; Lightning takes a list for several loaders."""
    return DataLoader(cast(Any, list(given)), batch_size=None)


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_command_line_and_a_plain_trainer_end_with_the_same_weights(accumulate: int, tmp_path: Path) -> None:
    """Of one seed and one order of images: the networks' first weights, those of the regularizers, every draw.

    What the command line cuts into two micro-batches are two batches of the loader here.
    """
    words = ["model=dcgan", "data.batch_size=32", "reg=[sn,r1]", "reg.r1.gamma=2", "loss=non_saturating", "seed=3"]
    words += ["game.discriminator_steps=2", "optimizer.generator.lr=1e-3", "clip.generator=1", "generator.width=4"]
    words += ["discriminator.width=4", f"accumulate={accumulate}"]
    run = ganlab.train([*words, "trainer.max_steps=4", f"run.dir={tmp_path / 'run'}"])
    networks: dict[str, Any] = run_networks.opened(compose.read(words))
    data = ganlab.DataModule("digits", batch_size=32 // accumulate, as_bytes=True, seed=3)
    counts = torch.bincount(torch.cat([y for _, y in data.train_dataloader()]))
    optimizers = {player: run.config[f"optimizer.{player}"] for player in ("generator", "discriminator")}
    module = ganlab.GANModule.of(
        **networks,
        loss="non_saturating",
        reg={"sn": {}, "r1": {"gamma": 2.0}},
        discriminator_steps=2,
        optimizer={
            p: {o.name: {**o.options, "lr": 1e-3 if p == "generator" else o.options["lr"]}}
            for p, o in optimizers.items()
        },
        clip={"generator": 1.0},
        label_shares=(counts / counts.sum()).tolist(),
        accumulate=accumulate,
        seed=3,
    )
    fitted(module, tmp_path, data.train_dataloader(), steps=4)
    assert module.progress == run.module.progress
    torch.testing.assert_close(state(module), state(run.module), rtol=0, atol=0)


@pytest.mark.parametrize("form", ["bytes", "floats", "double", "pair", "dictionary", "collated names"])
def test_loaders_of_every_form_train_the_same_weights(form: str, tmp_path: Path) -> None:
    pixels = images(16)
    float_pixels = images(16, torch.float32)
    forms: dict[str, Any] = {
        "bytes": pixels,
        "floats": float_pixels,
        "double": float_pixels.double(),
        "pair": (pixels, labels(16)),
        "dictionary": {"image": pixels, "label": labels(16)},
        "collated names": {"pixel_values": pixels, "name": ["a"] * 16},
    }
    expected = fitted(made(), tmp_path, DataLoader(TensorDataset(pixels), batch_size=16))
    found = fitted(made(), tmp_path, batches(forms[form]))
    torch.testing.assert_close(state(found), state(expected), rtol=0, atol=1e-6)


def test_a_short_batch_is_whole_and_two_turns_take_two_batches(tmp_path: Path) -> None:
    """Ten images in batches of four, two in an iteration: sizes 4 4, 2 4, 4 2; none is lost where an epoch ends."""
    module = made(discriminator_steps=2)
    sizes: list[list[int]] = []
    iterate = module.iterate
    module.iterate = lambda batch, given=(): (sizes.append(list(given)), iterate(batch, given))[1]  # type: ignore
    trainer = quiet(tmp_path, 3)
    trainer.fit(module, DataLoader(TensorDataset(images(10)), batch_size=4))
    assert sizes == [[4, 4], [2, 4], [4, 2]]
    assert trainer.global_step == module.progress.iteration == 3
    assert module.progress.images_seen == module.progress.images_consumed == 20


def test_accumulated_batches_of_which_one_is_short_are_cut_alike(tmp_path: Path) -> None:
    """Seven images in batches of four: 4 + 3 are two micro-batches of three, and one image is left out."""
    module = fitted(made(accumulate=2), tmp_path, DataLoader(TensorDataset(images(7)), batch_size=4), steps=1)
    assert module.progress.images_seen == 6


def test_presets_mean_what_they_mean_on_the_command_line(tmp_path: Path) -> None:
    """Also in a checkpoint; options of the same regularizer replace the preset's."""
    short = made(loss="wgan_gp", reg={"gradient_penalty": {"weight": 3.0}, "lecam": {}}, optimizer="dcgan", lr=0.01)
    long = made(
        loss="wasserstein",
        reg={"gradient_penalty": {"weight": 3.0}, "lecam": {}},
        optimizer={"adam": {"betas": [0.5, 0.999], "lr": 0.01}},
    )
    for module in (short, long):
        fitted(module, tmp_path, batches(images(8), images(8)))
    assert [*short.regularizers] == ["gradient_penalty", "lecam"]
    torch.testing.assert_close(state(short), state(long), rtol=0, atol=0)
    trainer = quiet(tmp_path, 1)
    trainer.fit(short, batches(images(8)))
    trainer.save_checkpoint(tmp_path / "short.ckpt")
    loaded = ganlab.GANModule.load_from_checkpoint(tmp_path / "short.ckpt", generator=G(), discriminator=D())
    assert [*loaded.regularizers] == ["gradient_penalty", "lecam"]


def test_labels_reach_networks_that_take_them(tmp_path: Path) -> None:
    module = made(generator=LabelledG(), discriminator=LabelledD(), num_classes=3, reg=["lecam"])
    fitted(module, tmp_path, batches((images(8), labels(8))))
    assert not torch.equal(
        module.samples([0, 0], torch.tensor([0, 1]))[0], module.samples([0, 0], torch.tensor([0, 1]))[1]
    )


def test_objects_and_names_are_the_same_components(tmp_path: Path) -> None:
    batch = batches(images(8))
    named = made(loss={"hinge": {"margin": 2.0}}, reg={"r1": {"gamma": 3.0}}, optimizer="sgd", lr=0.1)
    given = made(
        loss=Hinge(margin=2.0),
        reg=[R1(gamma=3.0)],
        optimizer=torch.optim.SGD,
        lr={"generator": 0.1, "discriminator": 0.1},
    )
    fitted(named, tmp_path, batch)
    fitted(given, tmp_path, batch)
    for network in ("generator", "discriminator"):
        expected = state(named.game.get_submodule(network))
        torch.testing.assert_close(state(given.game.get_submodule(network)), expected, rtol=0, atol=0)
    assert callable(sgd)


def test_logits_of_patches_are_averaged_by_the_loss(tmp_path: Path) -> None:
    patches = nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3, 1, 1))
    module = made(discriminator=patches, reg=["r1", "lecam", "gradient_penalty"])
    fitted(module, tmp_path, batches(images(8)))
    assert torch.isfinite(module.scalars["discriminator/adversarial"])


def test_loggers_checkpoints_and_early_stopping_read_what_is_logged(tmp_path: Path) -> None:
    best = ModelCheckpoint(tmp_path / "best", monitor="generator/adversarial", every_n_train_steps=1, save_top_k=1)
    stop = EarlyStopping("discriminator/adversarial", patience=1, min_delta=100.0, check_on_train_epoch_end=True)
    module = made()
    trainer = quiet(
        tmp_path, 50, logger=CSVLogger(tmp_path), enable_checkpointing=True, callbacks=[best, stop], max_epochs=9
    )
    trainer.fit(module, DataLoader(TensorDataset(images(16)), batch_size=8))
    assert trainer.global_step == 4  # two epochs without an improvement of 100
    with (Path(trainer.log_dir or "") / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["generator/adversarial"]]
    assert [int(row["step"]) for row in rows] == [0, 1, 2, 3]
    assert best.best_model_score is not None
    assert float(best.best_model_score) == pytest.approx(min(float(row["generator/adversarial"]) for row in rows))
    assert trainer.progress_bar_metrics.keys() >= {"discriminator", "generator"}


def test_a_checkpoint_is_loaded_with_networks_given_again_and_goes_on_alike(tmp_path: Path) -> None:
    loader = batches(images(8))
    whole = fitted(made(reg=["sn"]), tmp_path, loader, steps=4, max_epochs=99)
    trainer = quiet(tmp_path, 2, max_epochs=99)
    trainer.fit(made(reg=["sn"]), loader)
    path = tmp_path / "two.ckpt"
    trainer.save_checkpoint(path)
    loaded = ganlab.GANModule.load_from_checkpoint(path, generator=G(), discriminator=D())
    assert loaded.progress.iteration == 2
    quiet(tmp_path, 4, max_epochs=99).fit(loaded, loader, ckpt_path=str(path))
    torch.testing.assert_close(state(loaded), state(whole), rtol=0, atol=0)
    with pytest.raises(ganlab.GanlabError, match="give generator and discriminator again"):
        ganlab.GANModule.load_from_checkpoint(path)
    with pytest.raises(ganlab.GanlabError, match="has weights of other networks"):
        ganlab.GANModule.load_from_checkpoint(path, generator=LabelledG(), discriminator=D(), num_classes=3)
    torch.load(path, weights_only=True)


def test_predict_makes_samples_by_their_numbers(tmp_path: Path) -> None:
    module = made()
    trainer = quiet(tmp_path, 1)
    first = torch.cat(trainer.predict(module, DataLoader(range(6), batch_size=4)))  # type: ignore[arg-type]
    assert first.shape == (6, 3, 8, 8)
    torch.testing.assert_close(module.samples([5])[0], first[5])
    with pytest.raises(ganlab.GanlabError, match="predict takes the numbers of the samples"):
        trainer.predict(module, batches(images(4)))


class Features(nn.Module):
    """Features (B, 5) of bytes."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.float().flatten(1)[:, ::40] / 255


def test_validate_and_test_score_samples_and_fit_monitors_them(tmp_path: Path) -> None:
    module = made(metrics=["fid", "kid"], features=Features())
    loader = DataLoader(TensorDataset(images(40)), batch_size=16)
    (found,) = quiet(tmp_path, 1).validate(module, loader, verbose=False)
    metric = as_torchmetric("fid", Features())
    metric.update(images(40), real=True)
    metric.update(module.samples(range(40)), real=False)
    assert found["fid"] == pytest.approx(float(metric.compute()["fid"]), rel=1e-5)
    assert found["fid_low"] <= found["fid"] <= found["fid_high"]
    assert quiet(tmp_path, 1).test(module, loader, verbose=False)[0]["fid"] == found["fid"]
    best = ModelCheckpoint(tmp_path / "best", monitor="fid")
    trainer = quiet(tmp_path, 3, enable_checkpointing=True, callbacks=[best], limit_val_batches=2)
    trainer.fit(module, loader, loader)
    assert best.best_model_score is not None
    for method in ("validate", "test"):
        with pytest.raises(ganlab.GanlabError, match=rf"trainer\.{method} .* no metrics: write .*metrics=\['fid'\]"):
            getattr(quiet(tmp_path, 1), method)(made(), loader, verbose=False)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"discriminator": nn.Sequential(nn.Flatten(), nn.Linear(192, 10))}, r"output is no logits.*\(2, 10\)"),
    ({"discriminator": nn.Linear(5, 1)}, "The discriminator cannot be called with inputs of shape"),
    ({"generator": nn.Linear(4, 4)}, "The width of z is not known"),
    ({"generator": lambda z: z}, "generator must be a torch.nn.Module, got a function"),
    ({"generator": LabelledG()}, "takes labels .z, y.: give the number of classes"),
    ({"loss": "hing"}, "Did you mean 'hinge'"),
    ({"loss": Hinge}, r"got the class Hinge: write Hinge\(\)"),
    ({"reg": {"r1": {"gama": 1.0}}}, "reg.r1.gama is no option. Did you mean 'gamma'"),
    ({"reg": ["r1", "r1"]}, "reg has 'r1' twice"),
    ({"reg": ["vib"]}, "reg=vib needs a discriminator with features"),
    ({"discriminator_step": 2}, "Did you mean 'discriminator_steps'"),
    ({"optimizer": {"generator": "adam", "critic": "adam"}}, "optimizer names 'critic', and the game's players are"),
    (
        {"lr": {"from": 1e-3, "to": 0.0, "end_steps": 10}},
        "counts in steps, and a step's images are not known",
    ),
    ({"discriminator": None}, "game=standard needs a discriminator"),
    ({"label_shares": [1.0]}, "the networks take no labels"),
    ({"ema": {"half_life": 3}}, "ema.half_life is no option"),
    ({"clip": {"critic": 1.0}}, "the game has no such player"),
    ({"accumulate": 0}, "accumulate must be at least 1"),
    ({"clip": 1.0}, "clip must be a mapping of players"),
    ({"ema": 0.999}, "ema must be a mapping"),
    ({"latent_dim": "wide"}, "latent_dim must be a whole number or null, got 'wide'"),
    ({"num_classes": 3}, "num_classes=3 is given, but the networks take no labels"),
    ({"optimizer": {"adam": 3}}, "the options of 'adam' must be a mapping"),
    ({"lr": torch.ones(2)}, "optimizer.discriminator.lr must be a number"),
    ({"loss": 0}, "int"),
    ({"metrics": 3}, "metrics must be names"),
]


@pytest.mark.parametrize(("options", "sentence"), WRONG, ids=[sentence[:30] for _, sentence in WRONG])
def test_what_is_wrong_is_said_in_one_sentence_before_training(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ganlab.GanlabError, match=sentence):
        made(**options)


BATCHES: list[tuple[Any, str]] = [
    (images(8).float(), r"must be in \[-1, 1\], and the DataLoader gives 0 to 255"),
    (images(8).long(), "must be uint8 or floats"),
    ({"picture": images(8)}, "has no 'image' among its keys, which are 'picture'"),
    ("words", "must be a tensor"),
    (images(0), "is empty"),
]


@pytest.mark.parametrize(("batch", "sentence"), BATCHES, ids=[sentence[:20] for _, sentence in BATCHES])
def test_a_batch_that_cannot_be_read_is_refused(batch: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ganlab.GanlabError, match=sentence):
        fitted(made(), tmp_path, batches(batch))


@pytest.mark.parametrize(
    ("batch", "sentence"),
    [
        (images(8), "gives none"),
        ((images(8), labels(8) + 1), "from 0 to 2.*got 3"),
        ((images(8), labels(4)), "8 whole"),
    ],
)
def test_labels_that_networks_do_not_know_are_refused(batch: Any, sentence: str, tmp_path: Path) -> None:
    module = made(generator=LabelledG(), discriminator=LabelledD(), num_classes=3)
    with pytest.raises(ganlab.GanlabError, match=sentence):
        fitted(module, tmp_path, batches(batch))


def test_a_trainer_that_cannot_train_two_players_is_refused(tmp_path: Path) -> None:
    half = quiet(tmp_path, 1)
    half.strategy.precision_plugin.precision = "16-mixed"  # type: ignore[assignment]
    with pytest.raises(ganlab.GanlabError, match=r"precision='16-mixed': .* write precision='bf16-mixed'"):
        half.fit(made(), batches(images(8)))

    for option, words in (
        ("accumulate_grad_batches", r"write GANModule.of\(..., accumulate=2\)"),
        ("gradient_clip_val", "clip="),
    ):
        with pytest.raises(ganlab.GanlabError, match=words):
            quiet(tmp_path, 1, **{option: 2}).fit(made(), batches(images(8)))

    with pytest.raises(ganlab.GanlabError, match=r"recorded=true .* on the cpu"):
        quiet(tmp_path, 1).fit(made(recorded=True), batches(images(8)))

    sharded = SimpleNamespace(strategy=SimpleNamespace(), precision="32-true")
    with pytest.raises(ganlab.GanlabError, match=r"SimpleNamespace shards or wraps .* write strategy='ddp'"):
        lightning_check.fit(sharded)  # type: ignore[arg-type]


DDP = """
import sys, torch, lightning as L
sys.path.insert(0, {tests!r})
from pathlib import Path
from support.lightning_trainer import D, G, images, quiet
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset
import ganlab
torch.manual_seed(0)
module = ganlab.GANModule.of(generator=G(), discriminator=D(), optimizer="sgd", lr=0.1, reg=["r1"])
trainer = quiet(Path({folder!r}), 3, strategy="ddp", devices=2, use_distributed_sampler=False)
data = TensorDataset(images(24))
order = DistributedSampler(data, 2, trainer.global_rank, shuffle=False)
trainer.fit(module, DataLoader(data, batch_size=4, sampler=order))
trainer.save_checkpoint(Path({folder!r}) / "two.ckpt")
"""


@pytest.mark.slow
def test_lightnings_ddp_on_two_processes_equals_one(tmp_path: Path) -> None:
    """Two processes of batches of 4 take the images i and i + 1 in turn."""
    script = tmp_path / "ddp.py"
    script.write_text(DDP.format(tests=str(Path(lightning_trainer.__file__).parents[1]), folder=str(tmp_path)))
    subprocess.run([sys.executable, str(script)], check=True, timeout=240)
    pixels = images(24)
    order = [[*range(8 * i, 8 * i + 8, 2), *range(8 * i + 1, 8 * i + 8, 2)] for i in range(3)]
    expected = made(optimizer="sgd", lr=0.1, reg=["r1"])
    fitted(expected, tmp_path, batches(*(pixels[rows] for rows in order)), steps=3)
    stored = torch.load(tmp_path / "two.ckpt", weights_only=True)["state_dict"]
    torch.testing.assert_close(stored, state(expected), rtol=0, atol=1e-5)


def test_the_module_of_a_run_is_the_same_class(tmp_path: Path) -> None:
    assert issubclass(ganlab.GANModule, GameModule)
    built = experiment.build(compose.read(["generator.width=4"]), with_data=True)
    assert isinstance(built.module, ganlab.GANModule)


def test_data_of_ganlab_comes_to_any_module() -> None:
    data = ganlab.DataModule("digits", batch_size=100, held_out=0.2)
    x, y = next(iter(data.train_dataloader()))
    assert x.shape == (100, 1, 8, 8)
    assert x.dtype is torch.float32
    assert float(x.min()) == -1.0
    assert y.dtype is torch.int64
    whole: int = sum(len(x) for x, _ in data.train_dataloader())
    assert whole == len(data.opened.splits["train"])
    order = data.train_dataloader()
    order.sampler.set_epoch(1)  # type: ignore[attr-defined]
    assert not torch.equal(next(iter(order))[0], x)
    assert isinstance(next(iter(ganlab.DataModule("digits", num_classes=0, as_bytes=True).train_dataloader())), Tensor)
    assert ganlab.DataModule("digits", held_out=0).val_dataloader() == []
