"""torch-fidelity beside ganlab, both through one network: for tests and benchmarks of evaluation."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

__all__ = ["inception_weights", "register"]


def register(name: str, make: Callable[[], nn.Module]) -> None:
    """Let torch-fidelity know an extractor: a network as a TorchScript file gives it to ``features=file``.

    Args:
        name: What ``feature_extractor=`` is given.
        make: Makes a network of images (B, C, H, W) in [-1, 1] whose output is features (B, D) and logits (B, K).
    """
    contract = importlib.import_module("torch_fidelity.feature_extractor_base")

    class Extractor(contract.FeatureExtractorBase):  # type: ignore[misc, name-defined]
        def __init__(self, name: str, features_list: list[str], **options: Any) -> None:
            super().__init__(name, features_list)
            self.network = make()

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("features", "logits")

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "logits" if metric == "isc" else "features"

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            found = dict(zip(("features", "logits"), self.network(images.float() / 127.5 - 1), strict=True))
            return tuple(found[name] for name in self.features_list)

    importlib.import_module("torch_fidelity").register_feature_extractor(name, Extractor)


@torch.random.fork_rng(devices=[])
def inception_weights(images: Tensor | None = None) -> dict[str, Tensor]:
    """Random weights of torch-fidelity's Inception, which cost the same as the published ones.

    Args:
        images: (B, 3, H, W) in [0, 255], whose statistics the batch norms are given, so that no layer's output fades;
            None leaves the norms as torch makes them.
    """
    module = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")

    class Random(module.FeatureExtractorInceptionV3):  # type: ignore[misc, name-defined]
        def load_state_dict(self, state: object, *arguments: object, **options: object) -> None:
            return None

    torch.manual_seed(0)
    with mock.patch.object(module.torch, "load", return_value={}):
        network: nn.Module = Random(
            "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=os.devnull
        )
    if images is not None:
        for norm in (part for part in network.modules() if isinstance(part, nn.BatchNorm2d)):
            norm.train()
            norm.momentum = 1.0
        with torch.no_grad():
            network(images)
    return network.state_dict()
