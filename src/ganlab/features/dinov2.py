"""DINOv2."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ganlab.contracts.extractor import Extractor, in_colour
from ganlab.core.errors import one_of
from ganlab.features.fidelity import load_failed, torch_fidelity

_DIMS = {"vit-s-14": 384, "vit-b-14": 768, "vit-l-14": 1024, "vit-g-14": 1536}


class DinoV2(Extractor):
    """Class-token features of DINOv2, as torch-fidelity computes them; it classifies nothing.

    The network's code and weights come from ``facebookresearch/dinov2`` through torch.hub.

    Source: Oquab et al. 2023 (arXiv:2304.07193); as features of FID: Stein et al. 2023 (arXiv:2306.04675).

    Args:
        model: ``vit-s-14``, ``vit-b-14``, ``vit-l-14`` or ``vit-g-14``.

    Raises:
        ValueError: If there is no such model.
    """

    cpu_images = 4

    def __init__(self, model: str = "vit-l-14") -> None:
        one_of(model, _DIMS, "model")
        self.model = model
        self.feature_dim = _DIMS[model]

    def prepare(self, examples: Any = None) -> None:
        module = torch_fidelity("feature_extractor_dinov2")
        remedy = (
            "run it once on a machine with a network and copy ~/.cache/torch/hub, or take features=efficientnet_lite0"
        )
        with load_failed("dinov2", remedy):
            self.network = module.FeatureExtractorDinoV2(f"dinov2-{self.model}", ["dinov2"])

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        (features,) = self.network(in_colour(images))
        return features, None

    def describe(self) -> dict[str, Any]:
        return {"layer": "class token", "resize": "torch-fidelity"}
