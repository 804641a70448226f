"""Time a training iteration of ganlab against the reference implementation of the same network.

    git clone https://github.com/ajbrock/BigGAN-PyTorch && git clone https://github.com/kwotsin/mimicry
    git clone https://github.com/LMescheder/GAN_stability
    python benchmarks/peers.py biggan_32 BigGAN-PyTorch width=64 batch=50
    OMP_NUM_THREADS=1 python benchmarks/peers.py sngan_32 mimicry width=128 rounds=20 clock=cpu
    OMP_NUM_THREADS=1 python benchmarks/peers.py gan_stability_64 GAN_stability width=16 batch=16 clock=cpu

Both play whole iterations in turns, in one process: the discriminator's steps, the generator's, optimizers
and average, as each does them. The reference's iteration is its own code (``train_fns`` of BigGAN-PyTorch,
``train_step`` of mimicry, the trainer of GAN_stability), imported from the checkout, with its published
options. ganlab has the same networks (checked by the number of parameters), batch, steps and optimizer, and
takes its batches from its loader. The last line is JSON.

Options: width (the reference's: ch, ndf, or nfilter), batch, steps (of the discriminator), rounds, warmup, clock
(wall, or cpu: time of the process, fair on a busy machine with one thread), threads, device (cpu or cuda),
reference_fp16 (BigGAN-PyTorch's G_fp16 and D_fp16, on a GPU), and any option of ``ganlab train`` with a dot or as
+name=value, such as +state_updates=every_forward.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import statistics
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ganlab.assembly import experiment
from ganlab.bench.iteration import synchronize
from ganlab.bench.regularizer_cost import Engine
from ganlab.config import compose

CLASSES = 10
CIFAR = ["generator.growth=1", "discriminator.growth=1", "discriminator.halvings=2", "discriminator.plain_blocks=2"]
BILINEAR = "generator.upsampling=bilinear"
BOTH = "reg.sn.players=[discriminator,generator]"
INPLACE = "discriminator.shortcut_activation=true"  # what mimicry's in-place relu makes of the shortcut
# BigGAN-PyTorch's scripts, as far as they are not its defaults
SCRIPTS: dict[str, dict[str, Any]] = {
    "biggan": {"hier": True, "G_shared": True, "shared_dim": 128, "dim_z": 120, "inplace": True},
    "deep": {"hier": True, "G_shared": True, "shared_dim": 128, "dim_z": 128, "inplace": True},
    "cifar": {"G_shared": False, "G_init": "N02", "D_init": "N02", "G_lr": 2e-4, "D_lr": 2e-4},
    "sagan": {"G_shared": False, "G_init": "xavier", "D_init": "xavier", "G_lr": 1e-4, "D_lr": 4e-4},
    "sngan": {"G_shared": False, "G_init": "xavier", "D_init": "xavier", "G_lr": 2e-4, "D_lr": 2e-4, "D_wide": False},
}


@dataclass(frozen=True)
class Case:
    """A network of a reference and ganlab's options for it.

    Args:
        image_size: In pixels.
        steps: Of the discriminator in an iteration, as published.
        options: Of ``ganlab train``, without the widths.
        generator_width, discriminator_width: ganlab's for a reference's width of 1.
        script: BigGAN-PyTorch: its options; a key of SCRIPTS.
        module: BigGAN-PyTorch: the file of the networks.
        attention: BigGAN-PyTorch: height of the map.
        networks: mimicry: package and prefix of the classes.
        generator_channels: mimicry: ngf for an ndf of 1.
        classes: 0 for none.
    """

    image_size: int
    steps: int
    options: tuple[str, ...]
    generator_width: float = 1
    discriminator_width: float = 1
    script: str = ""
    module: str = "BigGAN"
    attention: int = 0
    networks: tuple[str, str] = ("", "")
    generator_channels: int = 1
    classes: int = CLASSES


def _biggan(size: int, model: str = "biggan", attention: int = 0) -> Case:
    options = (
        f"model={model}",
        "reg=sn",
        BOTH,
        f"generator.attention={attention}",
        f"discriminator.attention={attention}",
    )
    module = {"biggan": "BigGAN", "biggan_deep": "BigGANdeep"}[model]
    script = "biggan" if model == "biggan" else "deep"
    return Case(size, 1, options, script=script, module=module, attention=attention)


CASES = {
    "biggan_32": _biggan(32),
    "biggan_64": _biggan(64, attention=32),
    "biggan_128": _biggan(128, attention=64),
    "biggan_deep_64": _biggan(64, "biggan_deep", attention=32),
    "biggan_deep_128": _biggan(128, "biggan_deep", attention=64),
    "biggan_cifar": Case(
        32, 4,
        ("model=biggan", "reg=sn", BOTH, "generator.latent_dim=128", "generator.hierarchical=false",
         "generator.shared_embedding=false", "generator.attention=0", "discriminator.attention=0"),
        script="cifar",
    ),
    "script_sagan_128": Case(
        128, 1,
        ("model=sagan", "reg=sn", BOTH, "generator.attention=64", "discriminator.attention=64"),
        script="sagan", attention=64,
    ),
    "script_sngan_128": Case(
        128, 5, ("model=sngan", "reg=sn", BOTH, "discriminator.thin_first=true"), script="sngan"
    ),
    "sngan_32": Case(
        32, 5, ("model=sngan", "reg=sn", BILINEAR, INPLACE, *CIFAR), 2, 1,
        networks=("sngan", "SNGAN"), generator_channels=2, classes=0,
    ),
    "sngan_64": Case(
        64, 5, ("model=sngan", "reg=sn", BILINEAR, INPLACE), 1 / 16, 1 / 16,
        networks=("sngan", "SNGAN"), classes=0,
    ),
    "cgan_pd_32": Case(
        32, 5, ("model=sngan", "reg=sn", BILINEAR, INPLACE, *CIFAR), 2, 1,
        networks=("cgan_pd", "CGANPD"), generator_channels=2,
    ),
    "wgan_gp_32": Case(
        32, 5, ("model=sngan", "loss=wgan_gp", BILINEAR, INPLACE, "discriminator.pooling=mean", *CIFAR), 2, 1,
        networks=("wgan_gp", "WGANGP"), generator_channels=2, classes=0,
    ),
    "sagan_32": Case(
        32, 5,
        ("model=sagan", "reg=sn", BOTH, BILINEAR, "generator.attention=16", "discriminator.attention=8",
         "discriminator.wide=false", INPLACE, *CIFAR),
        2, 1, networks=("sagan", "SAGAN"), generator_channels=2,
    ),
    "gan_stability_64": Case(
        64, 1, ("model=gan_stability", "loss=r1", "reg.r1.gamma=20", "generator.embedding_dim=1",
                "discriminator.largest_width=512"), classes=0,
    ),
    "sagan_128": Case(
        128, 5,
        ("model=sagan", "reg=sn", BOTH, BILINEAR, "discriminator.wide=false", INPLACE),
        1 / 16, 1 / 16, networks=("sagan", "SAGAN"),
    ),
}  # fmt: skip


@dataclass
class Settings:
    width: int = 64
    batch: int = 64
    steps: int = 0  # 0: as published
    rounds: int = 10
    warmup: int = 2
    threads: int = 1
    clock: str = "wall"
    device: str = "cpu"
    reference_channels_last: bool = False
    reference_fp16: bool = False
    profile: bool = False
    options: list[str] = field(default_factory=list)


Reference = tuple[Callable[[], Any], tuple[nn.Module, nn.Module]]


class _Absent(types.ModuleType):
    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def biggan_pytorch(case: Case, checkout: Path, settings: Settings) -> Reference:
    """One iteration of its ``GAN_training_function``, with average, and (G, D)."""
    sys.path.insert(0, str(checkout))
    for name in ("h5py", "datasets", "inception_utils", "torchvision", "torchvision.transforms"):
        # needed for its data and scores, not for its networks and its iteration
        sys.modules[name] = _Absent(name)
    sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]  # type: ignore[attr-defined]
    networks = importlib.import_module(case.module)
    train_fns, utils = importlib.import_module("train_fns"), importlib.import_module("utils")
    script = dict(SCRIPTS[case.script])
    options: dict[str, Any] = {
        "resolution": case.image_size, "n_classes": case.classes, "dim_z": 128,
        "G_ch": settings.width, "D_ch": settings.width,
        "G_attn": str(case.attention), "D_attn": str(case.attention),
        "SN_eps": 1e-6, "adam_eps": 1e-6,
        "G_fp16": settings.reference_fp16, "D_fp16": settings.reference_fp16,
        **{f"{net}_activation": nn.ReLU(inplace=script.pop("inplace", False)) for net in "GD"},
        **script,
    }  # fmt: skip
    generator, discriminator = networks.Generator(**options), networks.Discriminator(**options)
    if settings.reference_channels_last:
        generator.to(memory_format=torch.channels_last), discriminator.to(memory_format=torch.channels_last)
    averaged = networks.Generator(**{**options, "skip_init": True, "no_optim": True})
    for network in (generator, discriminator, averaged):
        network.to(settings.device, torch.float16 if settings.reference_fp16 else torch.float32)
    steps = settings.steps or case.steps
    training = {
        "batch_size": settings.batch, "num_D_steps": steps, "num_D_accumulations": 1, "num_G_accumulations": 1,
        "toggle_grads": True, "split_D": False, "D_ortho": 0.0, "G_ortho": 0.0, "ema": True,
    }  # fmt: skip
    z, y = utils.prepare_z_y(settings.batch, generator.dim_z, case.classes, settings.device, settings.reference_fp16)
    train = train_fns.GAN_training_function(
        generator, discriminator, networks.G_D(generator, discriminator), z, y,
        utils.ema(generator, averaged), {"itr": 1}, training,
    )  # fmt: skip
    images, labels = _data(case, settings, settings.batch * steps)
    return lambda: train(images, labels), (generator, discriminator)


def mimicry(case: Case, checkout: Path, settings: Settings) -> Reference:
    """One iteration as its ``Trainer`` makes it, and (G, D); it keeps no average."""
    family, prefix = case.networks
    # the packages' own __init__ files import TensorFlow for the scores
    for name in ("", ".nets", f".nets.{family}", ".nets.gan", ".nets.basemodel"):
        package = types.ModuleType(f"torch_mimicry{name}")
        package.__path__ = [str(checkout / "torch_mimicry" / name.replace(".", "/").lstrip("/"))]
        sys.modules[f"torch_mimicry{name}"] = package
    module = importlib.import_module(f"torch_mimicry.nets.{family}.{family}_{case.image_size}")
    known = {"num_classes": case.classes} if case.classes else {}
    generator = getattr(module, f"{prefix}Generator{case.image_size}")(
        ngf=settings.width * case.generator_channels, **known
    )
    discriminator = getattr(module, f"{prefix}Discriminator{case.image_size}")(ndf=settings.width, **known)
    for network in (generator, discriminator):
        network.to(settings.device)
    if settings.reference_channels_last:
        generator.to(memory_format=torch.channels_last), discriminator.to(memory_format=torch.channels_last)
    optimizers = [torch.optim.Adam(net.parameters(), 2e-4, (0.0, 0.9)) for net in (generator, discriminator)]
    steps = settings.steps or case.steps
    images, labels = _data(case, settings, settings.batch)

    class Log:
        def add_metric(self, name: str, value: Any, group: str) -> None:
            float(value)

    def iterate() -> None:
        given = {"real_batch": (images, labels), "log_data": Log(), "device": torch.device(settings.device)}
        for _ in range(steps):
            discriminator.train_step(netG=generator, optD=optimizers[1], **given)
        generator.train_step(netD=discriminator, optG=optimizers[0], **given)

    return iterate, (generator, discriminator)


def gan_stability(case: Case, checkout: Path, settings: Settings) -> Reference:
    """One iteration of its ``Trainer`` with R1, and of its average, and (G, D)."""
    sys.modules.setdefault("torchvision", _Absent("torchvision"))  # for its pictures
    sys.path.insert(0, str(checkout))
    networks = importlib.import_module("gan_training.models.resnet")
    training, utils = importlib.import_module("gan_training.train"), importlib.import_module("gan_training.utils")
    options: dict[str, Any] = {"nlabels": 1, "size": case.image_size, "embed_size": 1, "nfilter": settings.width}
    generator = networks.Generator(256, nfilter_max=512, **options)
    discriminator = networks.Discriminator(256, nfilter_max=512, **options)
    if settings.reference_channels_last:
        generator.to(memory_format=torch.channels_last), discriminator.to(memory_format=torch.channels_last)
    averaged = networks.Generator(256, nfilter_max=512, **options)
    for network in (generator, discriminator, averaged):
        network.to(settings.device)
    optimizers = [
        torch.optim.RMSprop(net.parameters(), 1e-4, alpha=0.99, eps=1e-8) for net in (generator, discriminator)
    ]
    trainer = training.Trainer(generator, discriminator, *optimizers, "standard", "real", 10.0)
    images, _ = _data(case, settings, settings.batch)
    labels = torch.zeros(settings.batch, dtype=torch.long, device=settings.device)

    def latents() -> torch.Tensor:
        return torch.randn(settings.batch, 256, device=settings.device)

    def iterate() -> None:
        trainer.discriminator_trainstep(images.clone(), labels, latents())
        trainer.generator_trainstep(labels, latents())
        with torch.no_grad():
            utils.update_average(averaged, generator, 0.999)

    return iterate, (generator, discriminator)


def _data(case: Case, settings: Settings, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(count, 3, case.image_size, case.image_size, device=settings.device) * 2 - 1
    if settings.reference_fp16:
        images = images.half()
    if settings.reference_channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    return images, torch.randint(max(case.classes, 1), (count,), device=settings.device)


def ganlab(case: Case, settings: Settings) -> tuple[Callable[[], Any], tuple[nn.Module, nn.Module]]:
    """One iteration of ganlab's engine, with loader and average."""
    widths = [
        f"{player}.width={round(settings.width * factor)}"
        for player, factor in (("generator", case.generator_width), ("discriminator", case.discriminator_width))
    ]
    options = [
        *case.options,
        *widths,
        f"data.image_size={case.image_size}",
        "data.image_channels=3",
        *([] if case.classes else ["data.num_classes=0"]),
        f"data.batch_size={settings.batch}",
        f"game.discriminator_steps={settings.steps or case.steps}",
        *settings.options,
    ]
    built = experiment.build(compose.read(options))
    game: Any = built.module.game
    return Engine(built, settings.device).iterate, (game.generator, game.discriminator)


def peer(name: str, case: Case) -> Callable[[Case, Path, Settings], Reference]:
    if name.startswith("gan_stability"):
        return gan_stability
    return biggan_pytorch if case.script else mimicry


def compare(name: str, checkout: Path, settings: Settings) -> dict[str, Any]:
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    case = CASES[name]
    with contextlib.redirect_stdout(io.StringIO()):
        reference, theirs = peer(name, case)(case, checkout, settings)
    ours, networks = ganlab(case, settings)
    counts = [[sum(p.numel() for p in net.parameters()) for net in pair] for pair in (theirs, networks)]
    if counts[0] != counts[1]:
        raise SystemExit(f"the networks differ: {counts[0]} parameters there, {counts[1]} here")
    clock = {"wall": time.perf_counter, "cpu": time.process_time}[settings.clock]
    for _ in range(settings.warmup):
        reference(), ours()
    if settings.profile:
        for iterate in (reference, ours):
            with torch.profiler.profile() as profile:
                iterate()
            print(profile.key_averages().table("self_cpu_time_total", row_limit=28, max_name_column_width=56))
    seconds: list[list[float]] = [[], []]
    for _ in range(settings.rounds):
        for iterate, kept in zip((reference, ours), seconds, strict=True):
            synchronize(torch.device(settings.device))
            started = clock()
            iterate()
            synchronize(torch.device(settings.device))
            kept.append(clock() - started)
    ratios = sorted(mine / his for his, mine in zip(*seconds, strict=True))
    return {
        "case": name, "width": settings.width, "batch": settings.batch, "steps": settings.steps or case.steps,
        "threads": torch.get_num_threads(), "clock": settings.clock, "device": settings.device,
        "options": settings.options,
        "reference_channels_last": settings.reference_channels_last, "reference_fp16": settings.reference_fp16,
        "parameters": counts[0],
        "reference_seconds": statistics.median(seconds[0]), "ganlab_seconds": statistics.median(seconds[1]),
        "ratio": statistics.median(ratios), "ratio_of_fastest": min(seconds[1]) / min(seconds[0]),
        "ratio_from": ratios[0], "ratio_to": ratios[-1],
        "torch": torch.__version__,
    }  # fmt: skip


def main(words: list[str]) -> None:
    settings, positional = Settings(), []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            positional.append(word)
        elif word.startswith("+") or "." in name:
            settings.options.append(word.removeprefix("+"))
        else:
            kind = type(getattr(settings, name))
            setattr(settings, name, value == "true" if kind is bool else kind(value))
    if len(positional) != 2 or positional[0] not in CASES:
        raise SystemExit(f"{__doc__}\nCases: {', '.join(CASES)}")
    result = compare(positional[0], Path(positional[1]), settings)
    print(
        f"{result['case']} width {result['width']} batch {result['batch']} steps {result['steps']} "
        f"threads {result['threads']}: reference {1e3 * result['reference_seconds']:.0f} ms, "
        f"ganlab {1e3 * result['ganlab_seconds']:.0f} ms, ratio {result['ratio']:.3f} "
        f"({result['ratio_from']:.2f} to {result['ratio_to']:.2f}; of the fastest {result['ratio_of_fastest']:.3f})"
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
