"""Cases of `test_trained.py` whose source is PyTorch: BigGAN-PyTorch, mimicry, GAN_stability, vgan, MEG and GAN Zoo."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from replay import BOTH, About, Case, Translated, term
from torch import Tensor
from trained import ITERATIONS, weights

from ganlab import importers
from ganlab.importers.network import Tensors


def of_biggan(about: About) -> dict[str, Any]:
    """The average's clock is counted in images: an iteration here shows fewer than one of the recipe does."""
    given = about["config"]
    batch = given["batch_size"] * given["num_D_accumulations"]
    start = (given["ema_start"] - 1) * batch * given["num_D_steps"] / 1000
    return {"data.image_size": given["resolution"], "data.num_classes": given["n_classes"], "data.batch_size": batch,
            "accumulate": given["num_D_accumulations"], "ema.start_kimg": start}  # fmt: skip


def of_mimicry(about: About) -> dict[str, Any]:
    return {"data.num_classes": about["classes"], "data.batch_size": about["batch"],
            "game.discriminator_steps": about["steps"], "data.image_size": 32}  # fmt: skip


def of_stability(about: About) -> dict[str, Any]:
    return {"data.num_classes": about["classes"], "data.batch_size": about["batch"], "data.image_size": about["size"],
            "generator.latent_dim": about["latent_dim"], "generator.embedding_dim": about["embedding_dim"],
            "generator.width": 4, "discriminator.width": 4, "generator.largest_width": 8,
            "discriminator.largest_width": 8}  # fmt: skip


def of_vgan(about: About) -> dict[str, Any]:
    """The fixture neither flips nor dequantizes."""
    return {**of_stability(about), "data.mirror": False, "data.dequantize": False}


def of_meg(about: About) -> dict[str, Any]:
    widths = {f"{kind}.width": about["width"] for kind in ("generator", "discriminator", "statistics")}
    return {
        "data.batch_size": about["batch"],
        "data.image_size": 32,
        "generator.latent_dim": about["latent_dim"],
        **widths,
    }


def of_zoo(about: About) -> dict[str, Any]:
    """Its losses are sums over the batch, of which Adam notices epsilon alone."""
    batch, counts, alphas = about["batch"], about["iterations"], about["alphas"]
    options = {"data.batch_size": batch, "data.num_classes": 0, "data.image_size": 4 * 2 ** (len(counts) - 1),
               **{f"optimizer.{player}.eps": 1e-8 / batch for player in BOTH}}  # fmt: skip
    if any(alphas):
        # one iteration of a stable level is at its very last image, after which the next level has a share at once
        stable = [
            count - sum(alpha > 0 for alpha in of_level) - 1 for count, of_level in zip(counts, alphas, strict=True)
        ]
        options["growth.stable_kimg"] = [batch * count / 1000 for count in stable]
        options["growth.fade_kimg"] = [batch * len(of_level) / 1000 for of_level in alphas[1:]]
    return options


def of_r3gan(about: About) -> dict[str, Any]:
    """Its schedules, which end with the fixture's last iteration."""

    def schedule(name: str, factor: float = 1.0) -> dict[str, Any]:
        first, last = about["schedules"][name]
        end_kimg = about["batch"] * ITERATIONS / 1000
        return {"from": first * factor, "to": last * factor, "end_kimg": end_kimg, "shape": "cosine"}

    return {"data.num_classes": about["classes"], "data.batch_size": about["batch"], "data.image_size": about["size"],
            "data.mirror": False, "ema.half_life_kimg": schedule("ema", 1e-3),
            **{f"reg.{name}.gamma": schedule("gamma") for name in ("r1", "r2")},
            **{f"optimizer.{player}.lr": schedule("lr") for player in BOTH},
            **{f"optimizer.{player}.betas": [0.0, schedule("beta2")] for player in BOTH}}  # fmt: skip


def of_stylegan2(about: About) -> dict[str, Any]:
    """Lazy turns come often; the half-life is that of a batch of 64, see `play`."""
    lazy = {"reg.r1.interval_steps": about["intervals"]["D"]}
    if not about["classes"]:
        lazy |= {"reg.path_length.interval_steps": about["intervals"]["G"]}
    return {"data.num_classes": about["classes"], "data.batch_size": about["batch"], "data.image_size": about["size"],
            "data.mirror": False, "ema.half_life_kimg": about["ema_kimg"] * 64 / about["batch"],
            "ema.ramp_up": about["ramp_up"],
            **lazy}  # fmt: skip


# --- their networks' tensors under our names


def stability_names(network: str, name: str) -> str:
    """Of GAN_stability and of vgan, which has a bottleneck of 1x1 convolutions."""
    name = re.sub(r"resnet\.(\d+)\.", lambda m: f"blocks.{int(m[1]) // 2}.", name)
    pairs = {"conv_0": "conv1", "conv_1": "conv2", "conv_s": "shortcut", "fc.": "linear.", "mean_fn": "vib.mean",
             "logstd_fn": "vib.log_std", "conv_img": "output" if network == "G" else "input"}  # fmt: skip
    for theirs, ours in pairs.items():
        name = name.replace(theirs, ours)
    return name


def meg_names(network: str, name: str) -> str:
    """Of MEG, whose layers are numbered with all that is between them."""
    if not name.startswith("main."):
        pairs = {"classify.0": "both", "classify.2": "output", "expand": "image" if network == "H" else "linear"}
        return next(name.replace(theirs, ours) for theirs, ours in pairs.items() if theirs in name)
    _, place, field = name.split(".")
    if network != "G":
        return f"body.convs.{int(place) // 2}.{field}"
    step, kind = divmod(int(place), 3)
    return f"output.{field}" if step == 3 else f"{('convs', 'norms')[kind]}.{step}.{field}"


def translated(case: str, about: About, network: str) -> Translated:
    values = weights(f"{case}/{network}", about["shapes"][network])
    if "format" not in about:
        named = meg_names if case.startswith("meg") else stability_names
        names = {name: named(network, name) for name in values}
        state = {names[n]: v.flatten(1) if "_fn.weight" in n else v for n, v in values.items()}
        return Translated({}, state, lambda ours: {theirs: ours[name] for theirs, name in names.items()})
    chosen = importers.formats()[about["format"]]
    if about["format"] == "gan_zoo":
        values["config.alpha"] = torch.zeros(())
    tensors = Tensors(values, network)
    if network == "G":
        made = chosen.generator(tensors)
    else:
        size = about["config"]["resolution"] if "config" in about else 32
        made = chosen.discriminator(tensors, (size, 3, 0))

    def found(ours: dict[str, Tensor]) -> dict[str, Tensor]:
        there = {made.theirs(key): value for key, value in ours.items() if not key.endswith("_extra_state")}
        if about["format"] == "r3gan" and "embedding.weight" in ours:
            there[made.theirs("embedding.weight")] = ours["embedding.weight"].t()
        for key, gain in ours.items():
            if about["format"] == "mimicry" and key.endswith(".gain.weight"):  # there it is around 1, and both are one
                offset = ours[key.replace(".gain.", ".offset.")]
                there[made.theirs(key).replace(".gain.", ".embed.")] = torch.cat([gain + 1, offset], 1)
        return there

    return Translated(made.options, made.state, found)


MIMICRY = (
    "game.fake_labels=uniform",
    "state_updates=every_forward",
    "ema.half_life_kimg=0",
    *(f"optimizer.{player}.lr={{from: 2.0e-4, to: 0.0, end_steps: {ITERATIONS}}}" for player in BOTH),
    *(f"optimizer.{player}.betas=[0.0,0.9]" for player in BOTH),
)
NORMALIZED = ("loss=hinge", "reg=sn", "reg.sn.evaluation=stored", *MIMICRY)
ZOO = ("model=pggan", "loss=wgan_gp", "reg=drift", "ema.half_life_steps=692.8", "ema.ramp_up=null")
ZOO_LOSSES = {
    **{player: term(player, times=4) for player in BOTH},
    **{name: term("discriminator", name, times=4) for name in ("gradient_penalty", "drift")},
}
R1 = {**BOTH, "penalty": term("discriminator", "r1")}
R3GAN = {**BOTH, "r1": term("discriminator", "r1"), "r2": term("discriminator", "r2")}


def case(words: Sequence[str], losses: Any, options: Any) -> Case:
    return Case(words, losses, options, translated)


STYLEGAN2 = {**BOTH, "r1": term("discriminator", "r1", 1 / 3), "path_length": term("generator", "path_length", 1 / 2)}
CASE = {
    "stylegan2": case(["model=stylegan2", "loss=stylegan2", "state_updates=every_forward"], STYLEGAN2, of_stylegan2),
    "stylegan2_cifar10": case(["experiment=stylegan2_cifar10", "augment=none"], STYLEGAN2, of_stylegan2),
    "r3gan_cifar10": case(["experiment=r3gan_cifar10", "augment=none"], R3GAN, of_r3gan),
    "r3gan_ffhq": case(["experiment=r3gan_ffhq64", "augment=none"], R3GAN, of_r3gan),
    "biggan_cifar10": case(["experiment=biggan_cifar10"], BOTH, of_biggan),
    "biggan_imagenet128": case(["experiment=biggan_imagenet128"], BOTH, of_biggan),
    "biggan_deep_imagenet128": case(["experiment=biggan_deep_imagenet128"], BOTH, of_biggan),
    "mimicry_sngan": case(["model=sngan", *NORMALIZED, "reg.sn.players=[discriminator]"], BOTH, of_mimicry),
    "mimicry_cgan_pd": case(["model=sngan", *NORMALIZED, "reg.sn.players=[discriminator]"], BOTH, of_mimicry),
    "mimicry_sagan": case(["model=sagan", *NORMALIZED, "reg.sn.players=[discriminator,generator]"], BOTH, of_mimicry),
    "mimicry_wgan_gp": case(
        ["model=sngan", "loss=wgan_gp", *MIMICRY],
        {**BOTH, "gradient_penalty": term("discriminator", "gradient_penalty")},
        of_mimicry,
    ),
    "r1_celebahq": case(["experiment=r1_celebahq"], R1, of_stability),
    "r1_conditional": case(
        ["experiment=r1_celebahq", "game.fake_labels=reals"], R1, of_stability
    ),
    "stability_wgangp": case(
        ["model=gan_stability", "loss=non_saturating", "reg=gradient_penalty", "ema.half_life_steps=692.8",
         "ema.ramp_up=null"],
        {**BOTH, "penalty": term("discriminator", "gradient_penalty")},
        of_stability,
    ),
    "vgan_cifar10": case(["experiment=vgan_cifar10"], {**BOTH, "vib": term("discriminator", "vib")}, of_vgan),
    "meg_cifar10": case(
        ["experiment=meg_cifar10"],
        {"energy": term("discriminator", "energy"), "score": term("discriminator", "score"),
         "generator": term("generator", "energy"), "information": term("generator", "information")},
        of_meg,
    ),
    "zoo_stable": case(ZOO, ZOO_LOSSES, of_zoo),
    "zoo_growing": case(
        [*ZOO, "growth=progressive", "growth.reset_after_fade=false", "growth.restart_average=true"], ZOO_LOSSES, of_zoo
    ),
}  # fmt: skip
