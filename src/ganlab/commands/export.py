"""``ganlab export RUN``: a generator for other programs, other machines, and the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from ganlab.commands.coded import Coded
from ganlab.commands.command import PATH, RUN, Command, Only
from ganlab.core import code_files
from ganlab.core.errors import GanlabError
from ganlab.core.ranges import Range


@dataclass
class Export(Coded, Command):
    """Write the averaged generator of a run for use elsewhere, with spectral norm folded in:

      ganlab export RUN                                weights, for ganlab.load and ganlab sample
      ganlab export RUN format=onnx out=g.onnx         for onnxruntime, batches of any size
      ganlab export RUN format=hub push=OWNER/NAME     with a model card, onto the Hugging Face Hub
      ganlab export RUN format=demo truncation=0.7     a Gradio app; a Space runs it as it is

    Inputs of graphs are z and, where the generator has them, label, psi and noise.

    Args:
        format: safetensors; torch (torch.export); onnx; hub, a folder for the Hugging Face Hub; or demo, with an app
        checkpoint: last, best, an iteration, or the name or path of a file; RUN may be such a file itself
        out: a file (.safetensors, .pt2, .onnx) or a folder; null: in RUN/exports. An older export there is replaced
        truncation: fixed: no |z_i| exceeds it; null: latents of the whole prior
        standing_statistics: passes at this truncation that batch statistics are averaged over
        psi: fixed truncation in w; null: an input, where there is a w space
        cutoff: how many layers psi truncates, from the first on; null: all
        noise: input, fixed or off, for generators with noise; null: an input
        license: of the weights, for the model card, as the Hub writes it: apache-2.0
        data_license: of the images, for the model card; null: that of the data set, where it is known
        push: OWNER/NAME on the Hub, of formats hub and demo; needs a login
        private: the pushed repository is seen by its owner alone
    """

    run_folder: Annotated[str, RUN]
    format: Literal["safetensors", "torch", "onnx", "hub", "demo"] = "safetensors"
    checkpoint: Annotated[int | str, PATH] = "last"
    out: Annotated[str | None, PATH] = None
    truncation: float | None = None
    standing_statistics: Annotated[int | None, Range(least=1, most=10_000)] = None
    psi: float | None = None
    cutoff: int | None = None
    noise: Literal["input", "fixed", "off"] | None = None
    license: Annotated[str | None, Only("format", ("hub", "demo"))] = None
    data_license: Annotated[str | None, Only("format", ("hub", "demo"))] = None
    push: Annotated[str | None, Only("format", ("hub", "demo"))] = None
    private: Annotated[bool, Only("format", ("hub", "demo"))] = False

    def __call__(self) -> int:
        from ganlab.core import files
        from ganlab.exporters import chosen, output, portable, push
        from ganlab.runs import exported
        from ganlab.runs.run import Run

        form = chosen(self.format)
        if self.private and self.push is None:
            raise GanlabError("private=true goes with push=OWNER/NAME.")
        if exported.is_export(self.run_folder):
            raise GanlabError(f"{self.run_folder} is an export already: give the run that it is from.")
        account = push.account(self.push) if self.push is not None else None
        run = Run(self.run_folder, self.checkpoint, code=code_files.allowed())
        for message in run.messages:
            print(f"{message} An older checkpoint is used.")
        path = Path(self.out).expanduser() if self.out else run.folder / "exports" / f"generator{form.SUFFIX}"
        if not self.out and not form.SUFFIX:
            path = path.with_name(form.NAME)
        output.refuse_occupied(path, form)
        fixed = portable.Fixed(self.truncation, self.standing_statistics, self.psi, self.cutoff, self.noise)
        made = portable.make(run, fixed, license=self.license, data_license=self.data_license, hub_name=self.push)
        with output.whole(path) as temporary:
            form.write(made, temporary)
        print(f"generator of iteration {run.iteration}: {files.typed(path)}")
        if account is not None:
            print(f"pushed: {account.push(path, form.NAME, self.private)}")
        return 0
