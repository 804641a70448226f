"""A network of the user's own, in a file."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganlab.contracts.extractor import Extractor, in_colour
from ganlab.core.checks import at_least
from ganlab.core.errors import GanlabError, one_of
from ganlab.core.ranges import FilledPath


class File(Extractor):
    """Features of a TorchScript or ONNX file. Such a file is code: give one that you trust.

    The network takes float32 (B, 3, H, W) of any B and gives features (B, D), or features and logits (B, K); features
    with more dimensions are averaged over the last ones. Images are resized (bilinear, antialiased) to ``size``. An
    ONNX network that was exported for batches of one size is given such batches, the last one filled up.

    Args:
        path: The file, ending in .pt, .pth, .ts or .onnx.
        size: H and W that it takes; 0: images as they are.
        scale: ``symmetric``: [-1, 1]; ``unit``: [0, 1]; ``imagenet``: [0, 1] less ImageNet's mean, over its deviation;
            ``bytes``: [0, 255].
        channels: 1 or 3.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(self, path: FilledPath, size: int = 0, scale: str = "symmetric", channels: int = 3) -> None:
        one_of(scale, ("symmetric", "unit", "imagenet", "bytes"), "scale")
        at_least("size", size, 0)
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {channels}")
        if Path(path).suffix.lower() not in (".pt", ".pth", ".ts", ".onnx"):
            raise ValueError(f"path must end in .pt, .pth, .ts (TorchScript) or .onnx, got {path!r}")
        self.path, self.size, self.scale, self.channels = Path(os.path.expanduser(path)), size, scale, channels

    def prepare(self, examples: Any = None) -> None:
        if not os.path.isfile(self.path):
            raise GanlabError(f"There is no file {self.path}; set features.path to a TorchScript or ONNX network.")
        self.network = _onnx(self.path) if self._is_onnx else _torchscript(self.path)
        height, width = (self.size, self.size) if self.size else self.image_size
        for count in (1, 3):  # a traced network may have the size of its example's batch built in, which is seldom 3
            try:
                with torch.no_grad():
                    found = self._found(torch.zeros(count, self.channels, height, width, dtype=torch.uint8))
            except Exception as error:  # whatever the user's network raises
                what = f"{count} images" if count > 1 else "an image"
                taken = self.network.taken if isinstance(self.network, _Onnx) else _reason(error)
                raise GanlabError(
                    f"The network of features.path={self.path} does not take {what} of {self.channels} x {height} x "
                    f"{width} ({taken}): "
                    + (
                        "export it for batches of any size."
                        if count > 1
                        else "set features.size and features.channels."
                    )
                ) from error
            shapes = [tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__ for x in found]
            if any(not isinstance(x, Tensor) or x.ndim < 2 or len(x) != count for x in found):
                raise GanlabError(
                    f"The network of features.path={self.path} gives {' and '.join(map(str, shapes))} for {count} "
                    f"image{'s' if count > 1 else ''}, and not features (B, D), or features and logits (B, K)."
                )
        features, logits = self.extract(torch.zeros(1, self.channels, height, width, dtype=torch.uint8))
        self.feature_dim, self.logits_dim = features.shape[1], 0 if logits is None else logits.shape[1]

    @property
    def _is_onnx(self) -> bool:
        return self.path.suffix.lower() == ".onnx"

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        features, *more = self._found(images)
        features = features.float().flatten(2).mean(2) if features.ndim > 2 else features.float()  # (B, F)
        return features, more[0].float().flatten(1) if more else None

    def _found(self, images: Tensor) -> Sequence[Any]:
        """Return the first two outputs of the network."""
        images = in_colour(images) if self.channels == 3 else images.float().mean(1, keepdim=True)
        x = images.float()
        if self.size and tuple(x.shape[2:]) != (self.size, self.size):
            x = F.interpolate(x, (self.size, self.size), mode="bilinear", antialias=True)
        if self.scale == "symmetric":
            x = x / 127.5 - 1
        elif self.scale != "bytes":
            x = x / 255
        if self.scale == "imagenet":
            mean, deviation = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in _IMAGENET)
            x = (x - mean) / deviation
        found = self.network(x)
        return found[:2] if isinstance(found, (tuple, list)) else (found,)

    def describe(self) -> dict[str, Any]:
        return {"size": self.size, "resize": "bilinear, antialiased", "scale": self.scale}

    def weights_hash(self) -> str:
        content = self.path.read_bytes()
        digest, beside = hashlib.blake2b(content, digest_size=8), set()
        if self._is_onnx:  # weights may be in files beside it, which it names
            for match in re.finditer(rb"\x0a\x08location\x12(.)", content, re.DOTALL):  # key, and length of the value
                name = content[match.end() : match.end() + match[1][0]].decode(errors="replace")
                if name not in beside and os.path.isfile(self.path.parent / name):
                    beside.add(name)
                    digest.update((self.path.parent / name).read_bytes())
        return digest.hexdigest()


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _torchscript(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript is deprecated
            return torch.jit.load(path, "cpu").eval()
    except Exception as error:  # whatever a foreign file makes torch raise
        raise GanlabError(
            f"features.path={path} is no TorchScript network: write one with "
            f"torch.jit.save(torch.jit.trace(network, images), path); torch.save writes weights alone."
        ) from error


def _onnx(path: Path) -> _Onnx:
    try:
        import onnxruntime
    except ImportError as error:
        raise GanlabError("features=file with an ONNX file needs onnxruntime: pip install onnxruntime.") from error
    try:
        return _Onnx(onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]))
    except Exception as error:  # onnxruntime has kinds of its own
        raise GanlabError(
            f"features.path={path} is no whole ONNX network ({_reason(error)}): export it again."
        ) from error


def _reason(error: Exception) -> str:
    """Return the last line of a message, after TorchScript's own traceback."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()[-200:]


class _Onnx(nn.Module):
    """An ONNX network on the CPU, called as a torch module.

    Attributes:
        taken: Its declared input, the size of a batch first.
    """

    def __init__(self, session: Any) -> None:
        super().__init__()
        (self.input, *_), self.session = session.get_inputs(), session
        shape = list(self.input.shape)
        self.batch = shape[0] if shape and isinstance(shape[0], int) else 0
        self.taken = f"it says that it takes {' x '.join(map(str, shape))}, {self.input.type}"

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        missing = -len(x) % self.batch if self.batch else 0
        filled = torch.cat([x, x.new_zeros(missing, *x.shape[1:])])
        parts = [
            self.session.run(None, {self.input.name: part.cpu().numpy()}) for part in filled.split(self.batch or len(x))
        ]
        joined = (torch.cat([torch.from_numpy(array) for array in of_output]) for of_output in zip(*parts, strict=True))
        return tuple(output[: len(x)].to(x.device) for output in joined)
