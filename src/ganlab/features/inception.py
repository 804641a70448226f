"""The Inception network of 2015, which FID and the Inception Score use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganlab.contracts.extractor import Extractor, in_colour
from ganlab.core.errors import GanlabError, one_of
from ganlab.features.fidelity import load_failed, torch_fidelity

_SIZE = 299


class Inception(Extractor):
    """2048 pool features and 1008 logits of the Inception v3 of 5 December 2015, as torch-fidelity holds it.

    uint8 images are resized to 299 x 299 as the reference does it:
    ``tensorflow``  TensorFlow 1's bilinear resize without antialiasing (the original FID, torch-fidelity, StyleGAN)
    ``clean``       Pillow's bicubic with antialiasing, a channel at a time in floating point, clipped to [0, 255]
                    and not rounded (clean-fid)
    ``friendly``    the same with Pillow's bilinear filter (StudioGAN's ``friendly`` for this network)

    and scaled to (x - 128) / 128 (``tensorflow``) or x / 127.5 - 1 (``symmetric``: StudioGAN).

    Source: Heusel et al. 2017 (arXiv:1706.08500); resizing: Parmar et al. 2022 (arXiv:2104.11222), Kang et al. 2022
    (arXiv:2206.09479).

    Args:
        path: The weights file ``weights-inception-2015-12-05-6726825d.pth`` of torch-fidelity; None: its cache,
            into which it is downloaded.
        resize: ``tensorflow``, ``clean`` or ``friendly``.
        scale: ``tensorflow`` or ``symmetric``.
        bias: Whether the last layer's bias is in the logits; the published Inception Score leaves it out, StudioGAN
            has it.

    Raises:
        ValueError: If ``resize`` or ``scale`` is none of these.
    """

    cpu_images = 4
    feature_dim = 2048
    logits_dim = 1008

    def __init__(
        self, path: str | None = None, resize: str = "tensorflow", scale: str = "tensorflow", bias: bool = False
    ) -> None:
        one_of(resize, ("tensorflow", *_FILTERS), "resize")
        one_of(scale, ("tensorflow", "symmetric"), "scale")
        self.path, self.resize, self.scale, self.bias = path, resize, scale, bias

    def prepare(self, examples: Any = None) -> None:
        module = torch_fidelity("feature_extractor_inceptionv3")
        self._interpolate = torch_fidelity("interpolate_compat_tensorflow").interpolate_bilinear_2d_like_tensorflow1x
        if self.path is not None:
            _check_weights(Path(os.path.expanduser(self.path)))
        name = Path(module.URL_INCEPTION_V3).name
        with load_failed(
            "inception",
            f"get {name} from torch-fidelity's releases on a machine with a network and give it as "
            f"features.path=FILE, or take features=efficientnet_lite0 or features=classifier",
        ):
            self.network = module.FeatureExtractorInceptionV3(
                "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=self.path
            ).to(memory_format=torch.channels_last)  # a third faster on a CPU

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        images = in_colour(images)
        if self.resize == "tensorflow":
            resized = self._interpolate(images.float(), size=(_SIZE, _SIZE), align_corners=False)
        else:
            resized = resize_by_pillow(images, self.resize)
        network: Any = self.network
        # torch-fidelity's own forward takes uint8 images only, and resizes them; these are its layers in its order
        features = (resized - 128) / 128 if self.scale == "tensorflow" else resized / 127.5 - 1
        features = features.contiguous(memory_format=torch.channels_last)
        for name, layer in network.named_children():
            features = layer(features) if name != "fc" else features
        features = torch.flatten(features, 1)  # (B, 2048)
        logits = features @ network.fc.weight.T
        return features, logits + network.fc.bias if self.bias else logits

    def describe(self) -> dict[str, Any]:
        return {"layer": "pool 2048", "logits": "1008", "size": _SIZE}


_FILTERS = {"clean": Image.Resampling.BICUBIC, "friendly": Image.Resampling.BILINEAR}


def resize_by_pillow(images: Tensor, resize: str) -> Tensor:
    """uint8 (B, C, H, W) -> float32 (B, C, 299, 299) in [0, 255], not rounded, each channel by itself.

    Args:
        resize: ``clean``: antialiased bicubic; ``friendly``: antialiased bilinear.
    """
    planes = images.flatten(0, 1).cpu().numpy().astype(np.float32)  # (B·C, H, W)
    resized = [np.asarray(Image.fromarray(p).resize((_SIZE, _SIZE), _FILTERS[resize])) for p in planes]
    stacked = torch.from_numpy(np.stack(resized)).clamp_(0, 255)
    return stacked.view(*images.shape[:2], _SIZE, _SIZE).to(images.device)  # (B, C, 299, 299)


def _check_weights(path: Path) -> None:
    """Refuse a file that holds more than plain tensors: torch-fidelity would unpickle anything."""
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise GanlabError(f"There is no file {path}; set features.path to the weights of Inception.") from error
    except Exception as error:
        raise GanlabError(
            f"{path} holds no weights of Inception ({' '.join(str(error).split())[:120]}); set features.path to "
            f"torch-fidelity's weights-inception-2015-12-05-6726825d.pth."
        ) from error
