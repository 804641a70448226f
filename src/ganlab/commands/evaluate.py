"""``ganlab evaluate RUN``: scores, each with its protocol."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from ganlab.commands.coded import Coded
from ganlab.commands.command import AS_TYPED, PATH, RUNS, Command, Passed
from ganlab.core import terminal
from ganlab.core.errors import GanlabError

OF_PROTOCOL = "is of the protocol, which checks it"
OF_RUNS = "is of runs, not of images in files"
OF_FILES = "is of images in files, not of runs"


@dataclass
class Evaluate(Coded, Command):
    """Score a run, or a folder of images, under a protocol.

    Of several runs it prints the newest scores, if they are of one protocol. Without a run:

      ganlab evaluate images=FOLDER_OR_ZIP data=NAME [data.path=...] [key=value ...]
      ganlab evaluate demo=inception_score     what the Inception Score hides, on data with labels

    Args:
        protocol: digits, fast, studiogan, mimicry, stylegan, mmgeneration, clean, mixture, points or a YAML of yours in
            conf/protocol; null: the data's own best one. It decides where the following, from metrics to
            seed, are null
        metrics: fid,fid_infinity,kid,is,prdc,per_class,ms_ssim,spectrum,memorization,ppl; of points
            modes,sliced_wasserstein,energy_distance
        features: classifier, inception, clip, dinov2, efficientnet_lite0, file
        samples: generated images; 0: as many as the reference has
        reference: train, validation or test: the real images to compare with
        reference_images: how many of them; 0: all
        truncation: latents given that no |z_i| exceeds it
        ema: true: the averaged generator; false: the raw one
        labels: data or uniform: the labels of conditional samples, with the data's shares or equal ones
        seed: of latents, labels and the choice of real images
        more: see `ganlab show metric NAME`, `ganlab show features NAME`
        checkpoint: last, best, all, an iteration, or the name or path of a file; RUN may be such a file itself
        sweep: truncation: a score for each of values=0.3:1.0:0.1
        values: from:to:step of sweep=truncation
        real: score held-out real images like generated ones too; null: with the data's own protocol
        reference_file: an .npz of FID statistics (mu, sigma) instead of real images
        images: a folder or archive, evaluated instead of a run
        data: what images are compared with
        demo: inception_score, or null
        device: cpu, cuda, cuda:1, mps; auto: a GPU if there is one
        out: folder for evaluation.jsonl of images=; null: beside them; for the page of demo=; null: here
    """

    runs: Annotated[Sequence[str], RUNS] = ()
    protocol: str | None = None
    metrics: Annotated[str | None, OF_PROTOCOL, AS_TYPED] = None
    features: Annotated[Any, OF_PROTOCOL] = None
    samples: Annotated[Any, OF_PROTOCOL] = None
    reference: Annotated[Any, OF_PROTOCOL] = None
    reference_images: Annotated[Any, OF_PROTOCOL] = None
    truncation: Annotated[Any, OF_PROTOCOL, OF_RUNS] = None
    ema: Annotated[Any, OF_PROTOCOL, OF_RUNS] = None
    labels: Annotated[Any, OF_PROTOCOL, OF_RUNS] = None
    seed: Annotated[Any, OF_PROTOCOL] = None
    checkpoint: Annotated[str | int, PATH, OF_RUNS] = "last"
    sweep: Annotated[Literal["truncation"] | None, OF_RUNS] = None
    values: Annotated[str | None, AS_TYPED, OF_RUNS] = None
    real: Annotated[bool | None, OF_RUNS] = None
    reference_file: Annotated[str | None, PATH] = None
    images: Annotated[str | None, PATH] = None
    demo: Literal["inception_score"] | None = None
    device: str = "auto"
    out: Annotated[str | None, PATH, OF_FILES] = None
    data: Annotated[Sequence[str], Passed(("data", "data.*"), "data=, data.OPTION=")] = ()
    more: Annotated[Sequence[str], Passed(("*.*",), "METRIC.OPTION=, features.OPTION=", offers=())] = ()

    def __call__(self) -> int:
        if self.demo is not None:
            return self._demo()
        if self.images is not None:
            if self.runs:
                raise GanlabError(f"images= are evaluated by themselves: leave {self.runs[0]} out, or images=.")
            self._refuse(OF_RUNS, "images= are given")
            return self._files(self.images)
        self._refuse(OF_FILES, "the scores of a run stay in its folder")
        if self.data:
            raise GanlabError(
                f"{self.data[0]} goes with images=; a run is evaluated on the data of its own configuration."
            )
        if not self.runs:
            raise GanlabError("`ganlab evaluate` takes a run folder, or images=FOLDER_OR_ZIP with data=NAME.")
        from ganlab.reports import table
        from ganlab.runs import choice, run_folder, scoring

        if len(self.runs) > 1:
            folders = [run_folder.existing(word) for word in self.runs]
            print(terminal.folded(table.table(scoring.same_protocol(folders), [folder.name for folder in folders])))
            return 0
        folder, which = choice.named(self.runs[0], self.checkpoint)
        config = run_folder.read_config(folder)
        data_set = config["data"].name
        protocol = self._protocol(data_set)
        if self.metrics is None and not config.data.num_classes:
            protocol = protocol.without_labels()
        truncations = self._truncations()
        real = self.real
        if real is None:  # a data set's own protocol generates as many images as are held out
            real = protocol.name == data_set and bool(config.data.held_out)
        with _measured() as found:
            scoring.evaluate_run(
                folder,
                protocol,
                which=which,
                truncations=truncations,
                statistics=self.reference_file,
                device=choice.device(self.device),
                with_real=real,
                say=found.append,
            )
        return _finish(folder, found)

    def _files(self, images: str) -> int:
        from ganlab.assembly import run_data
        from ganlab.config import compose
        from ganlab.runs import choice, scoring

        if not any(word.startswith("data=") for word in self.data):
            raise GanlabError("images= are compared with real ones: say which, as data=zip data.path=real.zip.")
        composed = compose.read(list(self.data))
        protocol = self._protocol(composed["data"].name)
        real = run_data.open_data(composed)
        path = Path(os.path.expanduser(images))
        if not os.path.exists(path):
            raise GanlabError(f"There is no folder or archive images={images}.")
        beside = path.parent if os.path.isfile(path) else path.absolute().parent
        out = Path(self.out) if self.out else beside
        with _measured() as found:
            scoring.evaluate_images(
                images, protocol, real, out=out, statistics=self.reference_file, device=choice.device(self.device),
                as_labels_allow=self.metrics is None, say=found.append,
            )  # fmt: skip
        return _finish(out, found)

    def _demo(self) -> int:
        from ganlab.assembly import run_data
        from ganlab.config import compose
        from ganlab.core.cache import cache_folder
        from ganlab.reports import inception_demo

        given = [*self.runs, *self.more, *self.changed(set(self.options()) - {"demo", "out"})]
        if given:
            raise GanlabError(f"demo={self.demo} takes data= and out= only: leave {given[0]} out.")
        out = Path(self.out or ".")
        if not os.path.isdir(out):
            raise GanlabError(f"There is no folder out={out}.")
        real = run_data.open_data(compose.read(list(self.data) or ["data=digits"]))
        found = inception_demo.inception_score(real, cache_folder())
        print(inception_demo.text(found))
        print(f"to look at: {inception_demo.write(found, out.absolute())}")
        return 0

    def _refuse(self, mark: str, why: str) -> None:
        """Refuse options that would have no effect."""
        for key in self.changed(self.marked(mark)):
            raise GanlabError(f"{key}={getattr(self, key)} has no effect here, since {why}: leave it out.")

    def _protocol(self, data: str) -> Any:
        from ganlab.config import command_line
        from ganlab.evaluation import protocol

        name = protocol.own(data) if self.protocol is None else self.protocol
        values = {key: getattr(self, key) for key in self.changed(self.marked(OF_PROTOCOL))}
        if self.metrics is not None:  # a list with or without brackets
            values["metrics"] = [name.strip() for name in self.metrics.strip("[]'\"").split(",") if name.strip()]
        more = {override.get_key_element(): override.value() for override in command_line.parse(self.more)}
        return protocol.preset(name).changed({**values, **more})

    def _truncations(self) -> list[float | None] | None:
        from ganlab.runs import scoring

        if (self.sweep is None) != (self.values is None):
            raise GanlabError("sweep= and values= go together: sweep=truncation values=0.3:1.0:0.1.")
        return None if self.sweep is None else list(scoring.sweep_values(str(self.values)))


@contextmanager
def _measured() -> Iterator[list[Mapping[str, Any]]]:
    """Give a list for records; print those so far also after an error, an interruption or a full disk."""
    from ganlab.reports import table

    found: list[Mapping[str, Any]] = []
    try:
        yield found
    except (GanlabError, KeyboardInterrupt):
        if found:
            print(terminal.folded(table.table(found)), flush=True)
        raise


def _finish(folder: Path, records: Sequence[Mapping[str, Any]]) -> int:
    from ganlab.core import files
    from ganlab.evaluation import scores
    from ganlab.reports import page, table

    print(terminal.folded(table.table(records)))
    for warning in dict.fromkeys(w for record in records for w in record["warnings"]):
        print(f"note: {warning}", file=sys.stderr)
    first = records[0]
    print(f"protocol {first['protocol']['name']} {first['protocol_hash']}: {files.typed(folder / scores.FILE)}")
    print(f"to look at: {files.typed(page.write(folder))}")
    return 0
