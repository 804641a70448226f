"""Train every component for some iterations on this machine's device, and say which fail: a check for a new GPU.

    python benchmarks/every_component.py [cpu|gpu] [precision=bf16-mixed] [only=reg=]

Each loss, regularizer, augmentation, family of networks, game and update rule plays three iterations of a small run
on the digits by itself, is resumed for one more, and makes a grid. Nothing is measured; numbers are compared with
other devices by nobody.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import ganlab
from ganlab.config import compose
from ganlab.core import registry
from ganlab.core.errors import GanlabError
from ganlab.runs import session

SMALL = ["data.batch_size=16", "sample.count=10", "trainer.log_every_n_steps=1", "trainer.max_steps=3"]
# components that need another one
WITH = {"lipschitz_consistency": "reg=[dropout,lipschitz_consistency]", "roth": "loss=non_saturating"}
TINY = ["model=dcgan", "generator.width=8", "discriminator.width=8"]


def cases() -> Iterator[list[str]]:
    """Options of one run each."""
    energies = ("energy_margin",)  # played by digits_ebgan below
    yield from ([*TINY, f"loss={name}"] for name in registry.names("loss") if name not in energies)
    yield from ([*TINY, f"loss={name}"] for name in ("wgan_gp", "wgan_div", "r1", "ct_gan", "roth", "wgan_clip"))
    for name in registry.names("reg"):
        more = [WITH[name]] if name in WITH else []
        yield [*TINY, *([] if more and more[0].startswith("reg=") else [f"reg={name}"]), *more]
    yield from ([*TINY, f"augment={name}"] for name in registry.names("augment"))
    yield from ([*TINY, f"game.update={rule}"] for rule in ("simultaneous", "extragradient", "optimistic"))
    yield [*TINY, "game.one_pass=true", "reg=[sn,r1]"]
    yield [*TINY, "accumulate=2", "reg=[sn,ortho,vib]"]
    yield from ([f"experiment={name}"] for name in ("digits_bigan", "digits_ebgan", "digits_introvae", "digits_meg"))
    yield ["experiment=digits_pggan"]
    for name in sorted({*registry.names("generator")} & {*registry.names("discriminator")}):
        yield [f"model={name}", *(["data.image_size=32"] if name in ("biggan", "biggan_deep", "sagan") else [])]


def attempt(words: list[str], folder: Path) -> str:
    """Return how a run of these options went: ``ok``, ``refused`` with the reason, or the end of a traceback."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            session.start(compose.read([*words, *SMALL, f"run.dir={folder}"]))
            session.resume(folder, {"trainer.max_steps": 4})
            ganlab.load(folder).sample(4)
        except GanlabError as error:
            return f"refused: {error}"
        except Exception:
            return traceback.format_exc(limit=-3)
    return "ok"


def main(words: list[str]) -> int:
    options = dict(word.split("=", 1) for word in words if "=" in word)
    accelerator = next((word for word in words if "=" not in word), "gpu")
    extra = [f"trainer.accelerator={accelerator}", f"trainer.precision={options.get('precision', '32-true')}"]
    failed, begun = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(cases()):
            if options.get("only", "") not in " ".join(case):
                continue
            found = attempt([*case, *extra], Path(folder, str(number)))
            failed += found != "ok"
            print(f"{time.monotonic() - begun:6.1f} s  {' '.join(case)}: {found}", flush=True)
    print(f"{failed} failed", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
