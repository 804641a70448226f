"""CLIP's image encoder."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ganlab.contracts.extractor import Extractor, in_colour
from ganlab.core.errors import one_of
from ganlab.core.ranges import FilledPath
from ganlab.features.fidelity import load_failed, torch_fidelity

_DIMS = {"vit-b-32": 512, "vit-b-16": 512, "vit-l-14": 768, "vit-l-14-336px": 768, "rn50": 1024, "rn101": 512}


class Clip(Extractor):
    """Image embeddings of CLIP, as torch-fidelity computes them; it classifies nothing.

    Source: Radford et al. 2021 (arXiv:2103.00020); as features of FID: Kynkäänniemi et al. 2023 (arXiv:2203.06026).

    Args:
        model: ``vit-b-32``, ``vit-b-16``, ``vit-l-14``, ``vit-l-14-336px``, ``rn50`` or ``rn101``.
        path: OpenAI's TorchScript file of that model, which is code: give one that you trust. None: torch-fidelity's
            cache, into which it is downloaded.

    Raises:
        ValueError: If there is no such model.
    """

    cpu_images = 4

    def __init__(self, model: str = "vit-b-32", path: FilledPath | None = None) -> None:
        one_of(model, _DIMS, "model")
        self.model, self.path = model, path
        self.feature_dim = _DIMS[model]

    def prepare(self, examples: Any = None) -> None:
        module = torch_fidelity("feature_extractor_clip")
        url = module.MODEL_URLS[f"clip-{self.model}"].rpartition("/")[2]
        remedy = f"get OpenAI's {url} on a machine with a network and give it as features.path=FILE"
        with load_failed("clip", remedy):
            self.network = module.FeatureExtractorCLIP(
                f"clip-{self.model}", ["clip"], feature_extractor_weights_path=self.path
            )

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        (features,) = self.network(in_colour(images))
        return features, None

    def describe(self) -> dict[str, Any]:
        return {"layer": "image embedding", "resize": "torch-fidelity"}
