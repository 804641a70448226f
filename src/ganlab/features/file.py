"""A network of the user's own, in a file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganlab.errors import GanlabError, one_of
from ganlab.features.contract import Extractor, in_colour
from ganlab.features.fidelity import load_failed


class File(Extractor):
    """Features of a TorchScript or ONNX file. Such a file is code: give one that you trust.

    The network takes float32 (B, 3, H, W) and gives features (B, D), or features and logits (B, K); features with
    more dimensions are averaged over the last ones. Images are resized (bilinear, antialiased) to ``size``.

    Args:
        path: The file, ending in .pt, .pth, .ts or .onnx.
        size: H and W that it takes; 0: images as they are.
        scale: ``symmetric``: [-1, 1]; ``unit``: [0, 1]; ``imagenet``: [0, 1] less ImageNet's mean, over its deviation;
            ``bytes``: [0, 255].
        channels: 1 or 3.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(self, path: str, size: int = 0, scale: str = "symmetric", channels: int = 3) -> None:
        one_of(scale, ("symmetric", "unit", "imagenet", "bytes"), "scale")
        if size < 0:
            raise ValueError(f"size must not be negative, got {size}")
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {channels}")
        if Path(path).suffix.lower() not in (".pt", ".pth", ".ts", ".onnx"):
            raise ValueError(f"path must end in .pt, .pth, .ts (TorchScript) or .onnx, got {path!r}")
        self.path, self.size, self.scale, self.channels = Path(path).expanduser(), size, scale, channels

    def prepare(self, examples: Any = None) -> None:
        if not self.path.is_file():
            raise GanlabError(f"There is no file {self.path}; set features.path to a TorchScript or ONNX network.")
        with load_failed(f"file features.path={self.path}", "give a TorchScript file (torch.jit.save) or an ONNX file"):
            self.network = _Onnx(self.path) if self.path.suffix.lower() == ".onnx" else torch.jit.load(self.path, "cpu")
            self.network.eval()
        height, width = (self.size, self.size) if self.size else self.image_size
        try:
            with torch.no_grad():
                features, logits = self.extract(torch.zeros(2, self.channels, height, width, dtype=torch.uint8))
        except Exception as error:  # whatever the user's network raises
            reason = str(error).strip().splitlines()[-1][:160]
            raise GanlabError(
                f"The network of features.path={self.path} does not take images of {self.channels} x {height} x "
                f"{width} ({reason}); set features.size and features.channels to what it takes."
            ) from error
        if features.ndim != 2 or len(features) != 2 or (logits is not None and logits.ndim != 2):
            raise GanlabError(
                f"The network of features.path={self.path} gives {tuple(features.shape)} for two images, and not "
                f"features (B, D), or features and logits (B, K)."
            )
        self.feature_dim, self.logits_dim = features.shape[1], 0 if logits is None else logits.shape[1]

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
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
        features, logits = found if isinstance(found, (tuple, list)) else (found, None)
        features = features.float().flatten(2).mean(2) if features.ndim > 2 else features.float()
        return features, None if logits is None else logits.float()

    def describe(self) -> dict[str, Any]:
        return {"size": self.size, "resize": "bilinear, antialiased", "scale": self.scale}

    def weights_hash(self) -> str:
        return hashlib.blake2b(self.path.read_bytes(), digest_size=8).hexdigest()


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class _Onnx(nn.Module):
    """An ONNX network on the CPU, called as a torch module."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            import onnxruntime
        except ImportError as error:
            raise GanlabError("features=file with an ONNX file needs onnxruntime: pip install onnxruntime.") from error
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        found = self.session.run(None, {self.input: x.cpu().numpy()})
        outputs = tuple(torch.from_numpy(array).to(x.device) for array in found[:2])
        return outputs if len(outputs) == 2 else (outputs[0], None)  # type: ignore[return-value]
