"""Every recipe is complete, composes, describes the published network, and trains at reduced width."""

import copy
import functools
import math
import re
from pathlib import Path

import pytest
import torch

from ganlab.assembly import experiment
from ganlab.config import catalog, compose, configuration, schema
from ganlab.contracts.plan import plan
from ganlab.core import kinds, registry
from ganlab.data.digits import Digits
from ganlab.runs import session

RECIPES = sorted(file.stem for file in (catalog.conf_dir() / "experiment").glob("*.yaml"))
PATH = {"sngan_imagenet128", "sagan_imagenet128", "biggan_imagenet128", "biggan_paper_imagenet128",
        "biggan_deep_imagenet128", "emoji_biggan", "r1_celebahq", "introvae_celebahq",
        "wgan_div_celeba", "ttur_celeba", "pggan_celebahq", "stylegan_ffhq",
        "emoji_pggan", "emoji_stylegan", "r3gan_ffhq64", "r3gan_ffhq256",
        "r3gan_imagenet32", "r3gan_imagenet64", "stylegan2_auto", "stylegan2_ffhq256",
        "stylegan2_ffhq1024", "emoji_r3gan", "emoji_stylegan2"}  # fmt: skip
# the reference implementations' own counts: classes, generator, discriminator
COUNTS = {
    "biggan_cifar10": (10, 4_304_387, 4_207_361),
    "biggan_imagenet128": (1000, 70_433_988, 87_982_370),
    "biggan_paper_imagenet128": (1000, 70_433_988, 87_982_370),
    "biggan_deep_imagenet128": (1000, 50_244_484, 34_590_210),
    "sngan_cifar10": (0, 4_276_739, 1_053_824),  # mimicry has one more, the bias at the end
    "wgan_gp_cifar10": (0, None, 1_053_825),
    "sngan_imagenet128": (1000, 41_996_931, None),
    "sagan_imagenet128": (1000, 42_078_852, None),
    "r1_celebahq": (0, 18_810_036, 16_705_201),
    "vgan_cifar10": (0, 1_700_196, None),
    "introvae_celebahq": (0, 16_190_819, None),
    "meg_cifar10": (0, 3_812_355, 2_935_873),
    "ct_gan_cifar10": (0, None, 1_053_825),
    "wgan_div_celeba": (0, None, None),
    "ttur_celeba": (0, None, None),
    "pggan_celebahq": (0, 23_079_115, 23_087_249),
    "pggan_cifar10": (0, None, None),
    "stylegan_ffhq": (0, 26_219_627, 23_087_249),
    "stylegan2_cifar10": (10, 20_215_315, 23_089_664),
    "stylegan2_ffhq256": (0, 24_767_458, 24_001_089),
    "stylegan2_ffhq1024": (0, 30_370_060, 29_012_513),
    "r3gan_cifar10": (10, 20_781_952, 21_280_512),
    "r3gan_ffhq64": (0, 22_429_824, 22_381_440),
    "r3gan_ffhq256": (0, 23_057_952, 23_009_568),
    "r3gan_imagenet32": (1000, 82_914_304, 86_548_992),
    "r3gan_imagenet64": (1000, 103_570_432, 107_205_120),
}
# images that a discriminator sees in an iteration, of the recipes that average with .9999 an iteration
AVERAGED = {
    "biggan_cifar10": 4 * 50,
    "biggan_imagenet128": 2048,
    "biggan_paper_imagenet128": 2 * 2048,
    "biggan_deep_imagenet128": 2048,
}
# the networks with spectral norm, of the recipes that have it
BOTH = {"discriminator", "generator"}
NORMALIZED = {
    "biggan_cifar10": BOTH,
    "biggan_imagenet128": BOTH,
    "biggan_paper_imagenet128": BOTH,
    "biggan_deep_imagenet128": BOTH,
    "sagan_imagenet128": BOTH,
    "emoji_biggan": BOTH,
    "sngan_cifar10": {"discriminator"},
    "sngan_imagenet128": {"discriminator"},
    "digits": {"discriminator"},
    "digits_bigan": {"discriminator"},
}

# what the sources named in the recipes say: rates, betas and ε of G and D, and keys of the configuration
BIGGAN_ADAM = ((1e-4, 4e-4), (0.0, 0.999), 1e-6)
SETTINGS: dict[str, tuple[tuple, dict[str, object]]] = {
    "sngan_cifar10": (
        ((2e-4, 2e-4), (0.0, 0.9), 1e-8),
        {"batch": 64, "accumulate": 1, "steps": 50_000, "D steps": 5, "moves": "every_forward", "dequantize": True},
    ),
    "sngan_imagenet128": (
        ((2e-4, 2e-4), (0.0, 0.9), 1e-8),
        {"batch": 64, "accumulate": 1, "steps": 450_000, "D steps": 5, "moves": "every_forward", "dequantize": True},
    ),
    "wgan_gp_cifar10": (
        ((2e-4, 2e-4), (0.0, 0.9), 1e-8),
        {"batch": 64, "accumulate": 1, "steps": 100_000, "D steps": 5, "moves": "own_turn", "dequantize": True},
    ),
    "sagan_imagenet128": (
        ((1e-4, 4e-4), (0.0, 0.999), 1e-8),
        {"batch": 256, "accumulate": 1, "steps": 1_000_000, "D steps": 1, "moves": "own_turn", "dequantize": False},
    ),
    "biggan_cifar10": (
        ((2e-4, 2e-4), (0.0, 0.999), 1e-8),
        {"batch": 50, "accumulate": 1, "steps": 125_000, "D steps": 4, "moves": "every_forward", "start": 199.8},
    ),
    "biggan_imagenet128": (
        BIGGAN_ADAM,
        {"batch": 2048, "accumulate": 8, "steps": 150_000, "D steps": 1, "moves": "every_forward", "start": 40_957.952},
    ),
    "biggan_deep_imagenet128": (
        BIGGAN_ADAM,
        {"batch": 2048, "accumulate": 8, "steps": 150_000, "D steps": 1, "moves": "every_forward", "start": 40_957.952},
    ),
    "biggan_paper_imagenet128": (
        ((5e-5, 2e-4), (0.0, 0.999), 1e-8),
        {"batch": 2048, "accumulate": 8, "D steps": 2, "moves": "own_turn", "start": 0.0, "ortho": 1e-4},
    ),
}


# sources that put fakes and reals through D at once; and those that draw the labels of fakes uniformly
ONE_PASS = {"biggan_cifar10", "biggan_imagenet128", "biggan_deep_imagenet128", "wgan_gp_cifar10", "ct_gan_cifar10"}
UNIFORM = {"biggan_cifar10", "biggan_imagenet128", "biggan_deep_imagenet128", "sngan_imagenet128", "sagan_imagenet128"}
# decay an iteration, and images that D sees in one, of the other recipes whose sources count in iterations
DECAYS = {"r1_celebahq": (0.999, 24), "vgan_cifar10": (0.999, 64)}


def read(name: str, *words: str) -> dict:
    return copy.deepcopy(_read(name, *words))


@functools.cache
def _read(name: str, *words: str) -> dict:
    path = ["data.path=somewhere"] if name in PATH and not any(w.startswith("data=") for w in words) else []
    return compose.composed([f"experiment={name}", *path, *words])


def text(name: str) -> str:
    return (catalog.conf_dir() / "experiment" / f"{name}.yaml").read_text()


def test_the_recipes_are_those_that_were_promised() -> None:
    assert {"digits", "digits_pggan", *PATH, *COUNTS} <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_composes_and_its_options_are_right(name: str) -> None:
    configuration.checked(read(name))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_headed_by_score_protocol_hardware_and_source(name: str) -> None:
    header = [line for line in text(name).splitlines() if line.startswith("#")]
    words = ["published", "protocol", "hardware", *(["source"] if name in COUNTS else [])]
    for word in words:
        assert any(re.match(rf"#\s+{word}\s+\S", line) for line in header), word


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_asks_for_a_path_where_the_images_are_the_users_own(name: str) -> None:
    composed = compose.composed([f"experiment={name}"]) if name in PATH else read(name)
    assert (composed["data"].get("path") == schema.REQUIRED) == (name in PATH)


@pytest.mark.parametrize("name", COUNTS)
def test_the_networks_have_the_published_number_of_parameters(name: str) -> None:
    composed = read(name)
    classes, *expected = COUNTS[name]
    size = composed["data"]["image_size"] or 32
    assert (composed["data"]["num_classes"] == 0) == (classes == 0)
    for kind, count in zip(("generator", "discriminator"), expected, strict=True):
        if not composed[kind]:
            continue
        component = registry.load(kind, composed[kind]["component"])
        options = {k: v for k, v in composed[kind].items() if k != "component"}
        with torch.device("meta"):
            given = {"num_classes": classes} if "num_classes" in schema.takes(component) else {}
            network = component(size, 3, **given, **options)
        if count is not None:
            assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize("name", SETTINGS)
def test_a_recipe_has_the_numbers_of_its_source(name: str) -> None:
    composed = read(name)
    (rates, betas, eps), expected = SETTINGS[name]
    for player, rate in zip(("generator", "discriminator"), rates, strict=True):
        node = composed["optimizer"][player]
        schedule = node["lr"] if isinstance(node["lr"], dict) else {"from": node["lr"]}
        assert (node["component"], schedule["from"], tuple(node["betas"]), node["eps"]) == ("adam", rate, betas, eps)
        assert schedule.get("to", 0.0) == 0.0
    found = {
        "batch": composed["data"]["batch_size"],
        "accumulate": composed["accumulate"],
        "steps": composed["trainer"]["max_steps"],
        "D steps": composed["game"]["discriminator_steps"],
        "moves": composed["state_updates"],
        "dequantize": composed["data"]["dequantize"],
        "start": composed["ema"]["start_kimg"],
        "ortho": composed["reg"].get("ortho", {}).get("weight"),
    }
    assert {key: found[key] for key in expected} == expected
    assert ("ortho" in composed["reg"]) == ("ortho" in expected)
    assert composed["loss"]["component"] == ("wasserstein" if "wgan" in name else "hinge")


def test_the_discriminator_of_vgan_has_the_authors_count_with_its_bottleneck() -> None:
    composed = compose.composed(
        ["experiment=vgan_cifar10", "data=digits", "data.image_channels=3", "data.image_size=32"]
    )
    player = experiment.build(configuration.checked(composed)).module.game.players["discriminator"]
    assert sum(p.numel() for p in player.parameters()) == 779_361


@pytest.mark.parametrize("name", AVERAGED)
def test_the_half_life_is_that_of_a_decay_of_9999_an_iteration(name: str) -> None:
    iterations = math.log(0.5) / math.log(0.9999)
    ema = read(name)["ema"]
    assert ema["ramp_up"] is None
    assert ema["half_life_kimg"] == pytest.approx(iterations * AVERAGED[name] / 1000, abs=1e-3)


def test_a_recipe_makes_one_pass_and_draws_labels_as_its_source_does() -> None:
    games = {name: read(name)["game"] for name in COUNTS}
    assert {name for name, game in games.items() if game.get("one_pass")} == ONE_PASS
    paired = {name for name in COUNTS if name.startswith("r3gan")}
    assert {name for name, game in games.items() if game.get("fake_labels", "drawn") != "drawn"} == UNIFORM | paired
    assert all(games[name]["fake_labels"] == "reals" and games[name]["fresh_reals"] for name in paired)
    assert all(games[name]["fake_labels"] == "uniform" for name in UNIFORM)


@pytest.mark.parametrize("name", DECAYS)
def test_a_half_life_is_that_of_its_sources_decay(name: str) -> None:
    decay, images = DECAYS[name]
    ema = read(name)["ema"]
    assert ema["ramp_up"] is None
    assert 0.5 ** (images / 1000 / ema["half_life_kimg"]) == pytest.approx(decay, abs=1e-8)


@pytest.mark.parametrize("name", [n for n in RECIPES if "cifar10" in n or "imagenet" in n])
def test_schedules_end_with_the_run(name: str) -> None:
    composed = read(name)
    for node in composed["optimizer"].values():
        if isinstance(node["lr"], dict):
            steps, kimg = (node["lr"].get(f"end_{unit}") for unit in ("steps", "kimg"))
            assert (steps, kimg) in ((composed["trainer"]["max_steps"], None), (None, composed["run"]["max_kimg"]))


def reduced(name: str, folder: Path) -> list[str]:
    """Words that leave of a recipe what can run in a second: narrow, small, on the digits in colour."""
    composed = read(name)
    batch = 2 * composed["accumulate"]
    size, width, growth = 64 if name in PATH and name not in COUNTS else 32, 8, []
    if composed["growth"]:  # its lists name each level, and the level of 64 pixels needs a width of 32
        size, width, growth = min(composed["data"]["image_size"], 64), 32, ["growth.batch_sizes=null"]
    width = {"r3gan": 256, "stylegan2": 128}.get(composed["generator"]["component"], width)  # 8 channels at 32 pixels
    return [
        "data=digits",
        "data.image_channels=3",
        f"data.image_size={size}",
        f"data.batch_size={batch}",
        *(f"{kind}.width={width}" for kind in kinds.networks() if composed[kind]),
        *growth,
        "sample.count=4",
        "trainer.max_steps=1",
        "trainer.accelerator=cpu",
        "trainer.log_every_n_steps=1",
        f"run.dir={folder}",
    ]


TEN_ITERATIONS = {path.stem for path in (Path(__file__).parents[1] / "importers/trained").glob("*.npz")}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in TEN_ITERATIONS else n for n in RECIPES]
)
def test_a_recipe_trains_one_iteration_at_reduced_width(name: str, tmp_path: Path) -> None:
    composed = read(name, *reduced(name, tmp_path / "run"))
    outcome = session.start(configuration.checked(composed))
    checkpoint = torch.load(outcome.folder / "checkpoints/last.ckpt", weights_only=True)
    steps = composed["game"].get("discriminator_steps", 1)
    fresh = steps + composed["game"].get("fresh_reals", False)
    assert checkpoint["ganlab"]["progress"] == {
        "iteration": 1,
        "images_seen": steps * composed["data"]["batch_size"],
        "images_consumed": fresh * composed["data"]["batch_size"],
    }
    assert {
        key.split(".")[1] for key in checkpoint["state_dict"] if key.startswith("game.") and key.endswith(".0.u")
    } == NORMALIZED.get(name, set())


@pytest.mark.parametrize("game", registry.names("game"))
def test_two_time_scales_or_several_steps_are_words_on_the_command_line(game: str) -> None:
    """The iterations themselves are compared with plain loops in games/test_updates."""
    two_scales = {"discriminator": 3e-4, "generator": 1e-4}
    alike = {"discriminator": 2e-4, "generator": 2e-4}
    counted = "discriminator_steps" in schema.options(registry.load("game", game))
    for rates, steps in ((two_scales, 1), *([(alike, 5)] if counted else [])):
        words = [f"optimizer.{player}.lr={rate}" for player, rate in rates.items()]
        words += [f"game.discriminator_steps={steps}"] if counted else []
        module = experiment.build(compose.read([f"game={game}", *words])).module
        slots = plan(module.game, module.progress, 8).slots
        assert [slot.turn.players[0] for slot in slots] == [*["discriminator"] * steps, "generator"]
        optimizers = dict(zip(module.game.players, module.configure_optimizers(), strict=True))
        found = {name: optimizer.param_groups[0]["lr"] for name, optimizer in optimizers.items()}
        others = {name: rate for name, rate in found.items() if name not in rates}  # a third player has its own
        assert found == {**rates, **others}


def test_twice_as_many_fakes_as_the_batch_are_made_in_the_generators_turn() -> None:
    composed = read(
        "sngan_cifar10", "data=digits", "data.image_channels=3", "generator.width=4", "discriminator.width=4"
    )
    module = experiment.build(configuration.checked(composed)).module
    slots = plan(module.game, module.progress, composed["data"]["batch_size"]).slots
    assert [(slot.turn.players, slot.batch) for slot in slots] == 5 * [(("discriminator",), 64)] + [
        (("generator",), 128)
    ]
    assert len(Digits()) > 5 * 64


def test_a_loss_that_compares_images_in_pairs_takes_as_many_fakes_as_reals() -> None:
    from ganlab.core.errors import GanlabError

    with pytest.raises(GanlabError, match="generator_batch must be 1 for a loss that compares"):
        experiment.build(compose.read(["loss=relativistic", "game.generator_batch=2"]))
    with pytest.raises(GanlabError, match="generator_batch must be finite and positive"):
        experiment.build(compose.read(["game.generator_batch=0"]))
