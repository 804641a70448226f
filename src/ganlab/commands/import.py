"""``ganlab import PATH``: another code's checkpoint as a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from ganlab.commands.command import PATH, Command, Passed, Word

OF_FORMAT = "is of some formats, see `ganlab.importers.options`"
NETWORKS = Passed(
    ("generator.*", "discriminator.*", "reg.sn.*"), "generator.OPTION=, discriminator.OPTION=, reg.sn.OPTION="
)


@dataclass
class Import(Command):
    """Turn a checkpoint of another code into a run folder, which samples and starts a fine-tuning:

      ganlab import weights/BigGAN_ch96_bs256x8        a folder: G.pth, D.pth and perhaps G_ema.pth
      ganlab import pytorch_model.bin out=runs/deep    one file; a missing discriminator starts afresh
      ganlab sample runs/deep truncation=0.4
      ganlab train init=runs/deep data=zip data.path=flowers.zip

    Args:
        format: found out by the tensors' names: biggan_pytorch, gan_stability, gan_zoo, huggingface, introvae, meg,
            mimicry, pggan_tensorflow, r3gan, rosinality, stylegan2_ada, stylegan_tensorflow
        out: the run folder; null: a new one under runs
        truncation: of huggingface: the truncation that the run samples at, for which it has statistics of its own
        overrides: what tensors do not tell, such as generator.norm_eps=1e-4
    """

    path: Annotated[str, PATH, Word("PATH", "file or folder")]
    format: str | None = None
    out: Annotated[str | None, PATH] = None
    truncation: Annotated[float, OF_FORMAT] = 1.0
    overrides: Annotated[Sequence[str], NETWORKS] = ()

    def __call__(self) -> int:
        from ganlab.core import files
        from ganlab.importers import conversion
        from ganlab.runs import run_folder

        if self.out is not None:
            run_folder.new(self.out)  # refused before anything is read
        of_format = {name: getattr(self, name) for name in self.changed(self.marked(OF_FORMAT))}
        imported = conversion.make_run(self.path, self.format, self.out, list(self.overrides), of_format)
        for message in imported.messages:
            print(message)
        print(f"run: {files.typed(imported.folder)} ({imported.format})")
        return 0
