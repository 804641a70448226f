"""Cases of `test_trained.py` that grow; see `make_trained_tf_growing.py` and `make_trained_theano.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from replay import BOTH, About, Case, Translated, term
from torch import Tensor
from values import fill

from ganlab import importers
from ganlab.importers.network import Network, Tensors

FORMATS = {
    "pggan_celebahq": "pggan_tensorflow",
    "pggan_cifar10": "pggan_tensorflow",
    "stylegan_ffhq": "stylegan_tensorflow",
}


def growing(case: str, about: About, network: str) -> Translated:
    """Importers reorder numbers and change none: imported, each number's own place says where it went."""
    shapes = about["shapes"][network]
    counts = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    ends = dict(zip(counts, np.cumsum(list(counts.values())).tolist(), strict=True))

    def imported(tensors: dict[str, Tensor]) -> Network:
        chosen, given = importers.formats()[FORMATS[case]], Tensors(tensors, network)
        return chosen.generator(given) if network == "G" else chosen.discriminator(given, (about["size"], 3, 0))

    def placed(name: str) -> Tensor:
        if name == "lod":
            return torch.zeros(())
        return torch.arange(ends[name] - counts[name], ends[name]).double().view(shapes[name])

    values = {name: torch.from_numpy(value).double() for name, value in fill(f"{case}/{network}", shapes).items()}
    made, places = imported(values), imported({name: placed(name) for name in shapes}).state
    others = ("level", "alpha", "_extra_state")
    taken = {n: place.long().flatten() for n, place in places.items() if n.rpartition(".")[2] not in others}

    def found(ours: dict[str, Tensor]) -> dict[str, Tensor]:
        everything = torch.full((max(ends.values()),), torch.nan, dtype=torch.float64)
        for name, place in taken.items():
            everything[place] = ours[name].double().flatten()
        pieces = dict(zip(counts, everything.split(list(counts.values())), strict=True))
        return {name: piece.view(shapes[name]) for name, piece in pieces.items()}

    return Translated(made.options, made.state, found)


def of_growing(about: About) -> dict[str, Any]:
    """The fixture does not flip."""
    options: dict[str, Any] = {"data.batch_size": about["batches"]["16"], "data.image_size": about["size"],
                               "data.mirror": False, "growth.batch_sizes": sizes(about["batches"]),
                               "growth.learning_rate_factors": sizes(about["rates"]), "growth.start_size": None,
                               "growth.stable_kimg": about["schedule"]["lod_training_kimg"],
                               "growth.fade_kimg": about["schedule"]["lod_transition_kimg"]}  # fmt: skip
    return options | {f"optimizer.{player}.eps": about["epsilon"] for player in BOTH}


def sizes(table: dict[str, Any]) -> dict[int, Any]:
    return {int(size): value for size, value in table.items()}


def total(*names: str) -> Any:
    return lambda terms: sum(terms["discriminator"][name] for name in names)


GENERATOR = {"generator": term("generator")}
CASE = {
    "pggan_celebahq": Case(
        ["experiment=pggan_celebahq"],
        {**GENERATOR, "discriminator": total("adversarial", "gradient_penalty", "drift")},
        of_growing,
        growing,
        1e-6,
    ),
    "pggan_cifar10": Case(
        ["experiment=pggan_cifar10"],
        {**GENERATOR, "discriminator": total("adversarial", "gradient_penalty", "drift")},
        of_growing,
        growing,
        1e-8,
    ),
    "stylegan_ffhq": Case(
        ["experiment=stylegan_ffhq"],
        {**GENERATOR, "discriminator": total("adversarial", "r1")},
        of_growing,
        growing,
        1e-6,
    ),
}
