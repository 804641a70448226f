"""The Inception network of 2015, which FID and the Inception Score are named for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganlab.errors import GanlabError, one_of
from ganlab.features.contract import Extractor, in_colour
from ganlab.features.fidelity import load_failed, torch_fidelity

_SIZE = 299


class Inception(Extractor):
    """2048 pool features and 1008 logits (without the bias, as everybody's Inception Score) of the Inception v3 of
    5 December 2015, as torch-fidelity holds it.

    uint8 images are resized to 299 x 299 as the reference does it: ``tensorflow``: TensorFlow 1's bilinear
    resize without antialiasing (the original FID, torch-fidelity, pytorch-fid); ``clean``: Pillow's bicubic
    with antialiasing, a channel at a time in floating point, clipped to [0, 255] and not rounded (clean-fid).

    Source: Heusel et al. 2017 (arXiv:1706.08500); resizing: Parmar et al. 2022 (arXiv:2104.11222).

    Args:
        path: The weights file ``weights-inception-2015-12-05-6726825d.pth`` of torch-fidelity; None: its cache,
            into which it is downloaded.
        resize: ``tensorflow`` or ``clean``.

    Raises:
        ValueError: If ``resize`` is neither.
    """

    feature_dim = 2048
    logits_dim = 1008

    def __init__(self, path: str | None = None, resize: str = "tensorflow") -> None:
        one_of(resize, ("tensorflow", "clean"), "resize")
        self.path, self.resize = path, resize

    def prepare(self, examples: Any = None) -> None:
        module = torch_fidelity("feature_extractor_inceptionv3")
        if self.path is not None:
            _check_weights(Path(self.path).expanduser())
        name = Path(module.URL_INCEPTION_V3).name
        with load_failed(
            "inception",
            f"get {name} from torch-fidelity's releases on a machine with a network and give it as "
            f"features.path=FILE, or take features=efficientnet_lite0 or features=classifier",
        ):
            self.network = module.FeatureExtractorInceptionV3(
                "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=self.path
            )

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        images = in_colour(images)
        if self.resize == "tensorflow":
            features, logits = self.network(images)
            return features, logits
        return self._forward(resize_clean(images))

    def _forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What torch-fidelity's forward does after resizing; that one takes no floating-point images."""
        network: Any = self.network
        x = (images - 128) / 128
        for name, layer in network.named_children():
            x = layer(x) if name != "fc" else x
        x = torch.flatten(x, 1)
        return x, x @ network.fc.weight.T

    def describe(self) -> dict[str, Any]:
        return {"layer": "pool 2048", "logits": "unbiased 1008", "size": _SIZE, "resize": self.resize}


def resize_clean(images: Tensor) -> Tensor:
    """uint8 (B, C, H, W) -> float32 (B, C, 299, 299) in [0, 255]: Pillow's antialiased bicubic on each channel."""
    planes = images.flatten(0, 1).cpu().numpy().astype(np.float32)
    resized = [np.asarray(Image.fromarray(p).resize((_SIZE, _SIZE), Image.Resampling.BICUBIC)) for p in planes]
    stacked = torch.from_numpy(np.stack(resized)).clamp_(0, 255)
    return stacked.view(*images.shape[:2], _SIZE, _SIZE).to(images.device)


def _check_weights(path: Path) -> None:
    """Whether a file is plain tensors: torch-fidelity would unpickle anything."""
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise GanlabError(f"There is no file {path}; set features.path to the weights of Inception.") from error
    except Exception as error:
        raise GanlabError(
            f"{path} holds no weights of Inception ({' '.join(str(error).split())[:120]}); set features.path to "
            f"torch-fidelity's weights-inception-2015-12-05-6726825d.pth."
        ) from error
