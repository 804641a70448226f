"""A generator that was exported, read as a run is: ``ganlab.load("folder").sample(16)``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganlab.config import component
from ganlab.core import code_files, files, run_files
from ganlab.core.errors import GanlabError, sentence
from ganlab.runs import choice, rebuilt
from ganlab.runs.sampler import Sampler
from ganlab.sampling.styles import Style

FORMAT, VERSION = "ganlab-generator", 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
SUFFIX = ".safetensors"
METADATA = "ganlab"  # the key of a description in the metadata of a file
HUB = "hf://"
GRAPHS = (".onnx", ".pt2")  # exports that other programs run
_HUB_NAME = re.compile(r"\w[\w.-]*(?<![.-])/\w[\w.-]*(?<![.-])(?<!\.git)")
NOISE = {"input": "random", "fixed": "fixed", "off": "off"}


@dataclass(frozen=True, kw_only=True)
class Description:
    """An exported generator: ``config.json`` of a folder, and the metadata of a file.

    Args:
        generator: Name and options of the component.
        prior: The same of the distribution of latents.
        image_size: (H, W) that the network was built for.
        image_shape: (C, H, W) of its images; smaller where it has not grown to its end.
        latent_dim: Length of z.
        latents: The distribution of z for readers without ganlab: ``scale`` of a normal one, and its ends ``low`` and
            ``high`` where it has such; of a uniform one the ends alone. None: it is neither.
        num_classes: 0: none.
        class_names: Empty where classes have numbers alone.
        truncation: No |z_i| exceeds it; None: latents are not truncated.
        standing_statistics: Passes at this truncation that the statistics of batch norm were averaged over.
        psi: ψ of w_avg + ψ·(w − w_avg), fixed; None: an input, or no w space.
        cutoff: Layers that ψ truncates; None: all.
        noise: ``input``, ``fixed`` or ``off``; None where there is none.
        inputs: Shapes of the graph's inputs by name.
        value_range: Of pixels.
        name: Of the run.
        iteration: Iterations that the weights have seen.
        ganlab: The version that wrote it.
    """

    generator: dict[str, Any]
    prior: dict[str, Any]
    image_size: list[int]
    image_shape: list[int]
    latent_dim: int
    latents: dict[str, Any] | None = None
    num_classes: int = 0
    class_names: list[str] = field(default_factory=list)
    truncation: float | None = None
    standing_statistics: int | None = None
    psi: float | None = None
    cutoff: int | None = None
    noise: str | None = None
    inputs: dict[str, list[Any]] = field(default_factory=dict)
    value_range: list[float] = field(default_factory=lambda: [-1.0, 1.0])
    name: str = ""
    iteration: int = 0
    ganlab: str = ""

    def json(self) -> str:
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)}, indent=2) + "\n"

    @property
    def labelled(self) -> bool:
        """Tell if the generator takes classes."""
        return "label" in self.inputs

    @classmethod
    def parse(cls, text: str | bytes, where: str) -> Description:
        """Read what `json` made.

        Raises:
            GanlabError: If it is something else.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise GanlabError(f"{where} is no export of ganlab: it is no JSON.") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise GanlabError(f"{where} is no export of ganlab: it has no format {FORMAT!r}.")
        if content.get("version") != VERSION:
            raise GanlabError(f"{where} is an export of another version of ganlab ({content.get('version')!r}).")
        values = {name: value for name, value in content.items() if name not in ("format", "version")}
        known = {of.name: of for of in fields(cls)}
        if unknown := sorted(values.keys() - known.keys()):
            raise GanlabError(f"{where} has an unknown entry {unknown[0]!r}.")
        for name, (of, what) in _FORM.items():
            if not of(values.get(name, getattr(cls, name, None))):
                raise GanlabError(f"{where}: {name} must be {what}, got {values.get(name)!r}.")
        names = values.get("class_names") or []
        if names and len(names) != values.get("num_classes"):
            raise GanlabError(f"{where} names {len(names)} classes of {values.get('num_classes', 0)}.")
        return cls(**{**values, "class_names": names})


def _whole(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _optional_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _sizes(count: int) -> Any:
    return lambda value: isinstance(value, list) and len(value) == count and all(_whole(number) for number in value)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


_FORM: dict[str, tuple[Any, str]] = {
    "generator": (lambda value: isinstance(value, dict), "a mapping"),
    "prior": (lambda value: isinstance(value, dict), "a mapping"),
    "image_size": (_sizes(2), "two sizes"),
    "image_shape": (_sizes(3), "channels, height and width"),
    "latent_dim": (_whole, "a positive whole number"),
    "num_classes": (lambda value: value is None or _whole(value, 0), "a whole number"),
    "class_names": (lambda value: value is None or _texts(value), "a list of texts"),
    "inputs": (lambda value: value is None or isinstance(value, dict), "a mapping"),
    **{name: (lambda value: isinstance(value, str), "a text") for name in ("name", "ganlab")},
    "truncation": (_optional_number, "a number or null"),
    "psi": (_optional_number, "a number or null"),
    "cutoff": (lambda value: value is None or _whole(value, 0), "a whole number or null"),
    "noise": (
        lambda value: value is None or (isinstance(value, str) and value in NOISE),
        f"one of {', '.join(NOISE)}, or null",
    ),
    "iteration": (lambda value: value is None or _whole(value, 0), "a whole number"),
}


class Exported(Sampler):
    """A generator that ``ganlab export`` wrote, with its prior and its classes.

    What was fixed when it was exported stays fixed: truncation, ψ, noise.

    Args:
        path: A folder of format=hub or demo, a .safetensors file, or ``hf://OWNER/NAME``, also with ``@REVISION``.
        device: As of `ganlab.Run`.

    Raises:
        GanlabError: If it is none, its component is not installed, or its weights do not fit.
    """

    def __init__(self, path: str | os.PathLike[str], device: torch.device | str = "cpu") -> None:
        where = choice.device(device)
        self.folder, self.checkpoint, self.description, weights = _read(path)
        try:
            rebuilt.refuse_other_weights(self.description, weights, self.checkpoint)
            self._generator = rebuilt.generator(self.description)
            self._prior = component.checked("prior", "prior", self.description.prior).make()
        except GanlabError as error:
            raise GanlabError(f"{path} cannot be loaded: {error}") from error
        try:
            self._generator.load_state_dict(weights)
        except RuntimeError as error:
            raise GanlabError(
                f"The weights in {self.checkpoint} are not of its generator: {' '.join(str(error).split())[:160]}."
            ) from error
        self._generator.to(where)
        self.messages, self.standing = [], {}

    @property
    def generator(self) -> Any:
        return self._generator

    @property
    def family(self) -> str:
        return str(self.description.generator["component"])

    @property
    def latent_prior(self) -> Any:
        return self._prior

    @property
    def iteration(self) -> int:
        return self.description.iteration

    @property
    def num_classes(self) -> int:
        return self.description.num_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.description.class_names)

    def prior(self, truncation: float | None) -> Any:
        fixed = self.description.truncation
        if fixed is not None:
            self._refuse_another("truncation", truncation, fixed)
            truncation = fixed
        return super().prior(truncation)

    def style(
        self, psi: float | None = None, cutoff: int | None = None, noise: str | None = None, usual: str = "random"
    ) -> Style | None:
        about = self.description
        if about.psi is not None:
            self._refuse_another("psi", psi, about.psi)
            self._refuse_another("cutoff", cutoff, about.cutoff)
            psi = about.psi
        if about.noise in ("fixed", "off"):
            self._refuse_another("noise", noise, about.noise)
            noise = about.noise
        return super().style(psi, about.cutoff if cutoff is None else cutoff, noise, usual)

    def _refuse_another(self, name: str, asked: Any, fixed: Any) -> None:
        if asked is not None and asked != fixed:
            raise GanlabError(
                f"{name}={asked}: {self.folder.name} was exported with {name}={fixed} fixed: leave {name} out, or "
                f"export the run again without it."
            )

    def __repr__(self) -> str:
        return f"<ganlab export {self.folder.name}: generator={self.family}, iteration {self.iteration:,}>"


def opened(
    path: str | os.PathLike[str],
    checkpoint: choice.Which | None = None,
    device: torch.device | str | None = None,
    code: Any = (),
) -> Exported:
    """Open an export as `ganlab.load` does.

    Args:
        code: Files of a user's own, see `ganlab.Run`; empty: those that are allowed already.

    Raises:
        GanlabError: As `Exported`, and if a checkpoint is named: an export has one.
    """
    if checkpoint not in (None, choice.NEWEST):
        raise GanlabError(f"{path} is an export, which has the weights of one checkpoint: leave checkpoint out.")
    with code_files.session(None if code else code_files.allowed()):
        if code:
            code_files.allow(code if isinstance(code, list | tuple) else [code], alone=True)
        return Exported(path, "cpu" if device is None else device)


def is_export(path: str | os.PathLike[str]) -> bool:
    """Tell if a path names an export and no run; reads no file."""
    if str(path).startswith(HUB):
        return True
    where = files.named(path, "a run folder")
    return where.suffix in (SUFFIX, *GRAPHS) or (
        os.path.isfile(where / CONFIG) and not os.path.exists(where / run_files.CONFIG)
    )


def _read(path: str | os.PathLike[str]) -> tuple[Path, Path, Description, Mapping[str, Tensor]]:
    folder = _from_hub(str(path)) if str(path).startswith(HUB) else Path(os.path.expanduser(path)).absolute()
    if folder.suffix in GRAPHS:
        raise GanlabError(
            f"{path} is a graph for other programs: ganlab reads .safetensors files, and folders of format=hub or demo."
        )
    if os.path.isdir(folder):
        about = Description.parse(_content(folder / CONFIG), str(folder / CONFIG))
        file = folder / WEIGHTS
        return folder, file, about, _weights(file)[0]
    weights, metadata = _weights(folder)
    if METADATA not in metadata:
        raise GanlabError(f"{path} is no export of ganlab: `ganlab import {path}` reads some files of other codes.")
    return folder, folder, Description.parse(metadata[METADATA], f"The metadata of {path}"), weights


def _content(path: Path) -> bytes:
    try:
        with files.of_user(path) as file:  # the cache of the Hub consists of links
            return file.read()
    except FileNotFoundError as error:
        raise GanlabError(f"{path.parent} has no {path.name}, so it is no export of ganlab.") from error
    except OSError as error:
        raise files.unreadable(path, error) from error


def _weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a file and its metadata."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise GanlabError(f'{path} needs safetensors: pip install "ganlab[export]".') from error
    if not os.path.isfile(path):
        raise GanlabError(f"There is no file {path}.")
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise GanlabError(f"{path} is damaged, or no safetensors file: {sentence(error)}") from error


def _from_hub(address: str) -> Path:
    """Download the description and the weights of ``hf://OWNER/NAME``, and nothing that could run."""
    name, _, revision = address.removeprefix(HUB).partition("@")
    refuse_hub_name(name, address)
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise GanlabError(f'{address} needs huggingface_hub: pip install "ganlab[export]".') from error
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=[CONFIG, WEIGHTS]))
    except Exception as error:  # its own, those of its HTTP client, and the system's
        raise GanlabError(f"{address} cannot be downloaded: {hub_reason(error)}") from error


def refuse_hub_name(name: str, typed: str) -> None:
    """Raises:
    GanlabError: If ``name`` is not OWNER/NAME.
    """
    if not _HUB_NAME.fullmatch(name) or ".." in name or "--" in name:
        raise GanlabError(f"{typed} is no name on the Hub: it is OWNER/NAME, of letters, digits and .-_.")


def hub_reason(error: Exception) -> str:
    """Return the reason of a failure on the Hub, in one sentence."""
    said = " ".join(str(error).split()) or type(error).__name__
    if offline := re.match(r"Got: \w+: (.*?) An error happened", said):
        return f"the Hub cannot be reached ({offline[1]})."
    said = re.sub(r" ?For more information check: \S+", "", said)  # a page about HTTP
    return sentence(said.partition(" (Request ID")[0][:200].rstrip("."))
