"""``ganlab import PATH``: another code's checkpoint as a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ganlab.core.errors import GanlabError, suggestion

HELP = """ganlab import PATH [key=value ...]

Turns a checkpoint of another code into a run folder, which samples and starts a fine-tuning:

  ganlab import weights/BigGAN_ch96_bs256x8        a folder with G.pth, D.pth and perhaps G_ema.pth
  ganlab import pytorch_model.bin out=runs/deep    one file; a discriminator that is not there starts afresh
  ganlab sample runs/deep truncation=0.4
  ganlab train init=runs/deep data=zip data.path=flowers.zip

  format=null       found out by the tensors' names: biggan_pytorch, gan_zoo, huggingface, mimicry,
                    pggan_tensorflow, stylegan_tensorflow
  out=null          the run folder; null: a new one under runs
  truncation=1.0    of huggingface: the truncation that the run samples at, for which it has statistics of its own
  generator.OPTION=, discriminator.OPTION=, reg.sn.OPTION=
                    what tensors do not tell, such as generator.norm_eps=1e-4
"""
OPTIONS = ("format", "out")
NETWORKS = ("generator", "discriminator", "reg.sn")


def run(words: Sequence[str], options: Sequence[str], flags: Sequence[str]) -> int:
    if len(words) != 1:
        raise GanlabError(
            f"`ganlab import` takes one file or folder, got {len(words)}: ganlab import PATH [key=value ...]."
        )
    from ganlab import importers
    from ganlab.config import compose, schema
    from ganlab.importers import conversion
    from ganlab.runs import run_folder

    of_formats = {n: default for module in importers.formats().values() for n, default in importers.options(module)}
    known = [*OPTIONS, *of_formats]
    chosen: dict[str, str | None] = dict.fromkeys(OPTIONS)
    given: dict[str, Any] = {}
    overrides = []
    for override in compose.parse(options):
        key = override.get_key_element()
        if override.is_sweep_override():
            raise GanlabError(f"{override.input_line} has several values, and one is wanted.")
        value = override.value()
        if key in chosen:
            chosen[key] = None if value is None else str(value)
        elif key in of_formats:
            try:
                given[key] = schema.convert(value, type(of_formats[key]))
            except ValueError as error:
                raise GanlabError(f"{key} {error}.") from error
        elif key.rpartition(".")[0] in NETWORKS:
            overrides.append(str(override.input_line))
        else:
            listed = f"Options: {', '.join(known)}, and those of {', '.join(NETWORKS)}."
            raise GanlabError(f"`ganlab import` has no option {key!r}.{suggestion(key, known)} {listed}")
    if chosen["out"] is not None:
        run_folder.new(chosen["out"])  # refused before anything is read
    imported = conversion.make_run(words[0], chosen["format"], chosen["out"], overrides, given)
    for message in imported.messages:
        print(message)
    print(f"run: {imported.folder} ({imported.format})")
    return 0
