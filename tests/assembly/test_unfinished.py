"""Components of others that lack what every one of their kind has are refused by name, before training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.runs import TINY

from ganlab.assembly import experiment
from ganlab.config import compose
from ganlab.core import registry
from ganlab.core.errors import GanlabError


class Empty:
    def __init__(self) -> None:
        pass


class Pictures:
    """Images, as somebody may write them who has not read what a data set is."""

    labels = None
    class_names = ()

    def __init__(self) -> None:
        pass

    def __len__(self) -> int:
        return 20

    def image(self, index: int) -> Any:
        return np.zeros((8, 8), np.uint8)


def no_optimizer(params: Any) -> Any:
    return Empty()


@pytest.mark.parametrize(
    ("kind", "component", "said"),
    [
        ("loss", Empty, r"loss: Empty has no discriminator and no generator, and so is no adversarial loss; this is"),
        ("data", Pictures, r"data: Pictures has no name .* and no num_classes and no native_size .* and no held_out"),
        ("generator", Empty, r"generator: Empty has no parameters .* and no latent_dim, and so is no generator"),
        ("discriminator", Empty, r"discriminator: Empty has no parameters"),
        ("prior", Empty, r"prior: Empty has no __call__"),
        ("optimizer", no_optimizer, r"optimizer.generator: Empty has no step and no zero_grad and no param_groups"),
    ],
)
def test_a_component_without_what_its_kind_has_is_refused(
    kind: str, component: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_registered", {(kind, "mine"): component})
    typed = "optimizer/generator" if kind == "optimizer" else kind
    words = [word for word in TINY if not word.startswith(("model", f"{kind}."))]
    with pytest.raises(GanlabError, match=said):
        experiment.build(compose.read([*words, f"{typed}=mine", "data.num_classes=0"]))
