"""A small classifier of the user's own data."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganlab.contracts.extractor import Examples, Extractor
from ganlab.core import files, randomness
from ganlab.core.checks import at_least, positive
from ganlab.core.errors import GanlabError

_VERSION = 1  # of the network and its training: part of the cache's key


class Classifier(Extractor):
    """A small convolutional network that is trained once on the labelled training split of the user's data: its last
    hidden layer are the features, its classes the data's own.

    An Inception Score means something only with a classifier of the same data (Barratt & Sharma 2018,
    arXiv:1801.01973, section 4). Features of so small a network tell classes and strokes apart, not textures; scores
    compare only with those of the same classifier, whose hash is part of the protocol.

    Trained by Adam with dropout, weight decay and random shifts of an eighth of the image; its accuracy is measured on
    the validation split, of which it sees nothing. Kept in ganlab's cache by the data's fingerprint and these options.

    Args:
        dim: Features.
        width: Channels of the first layer.
        kimg: Thousands of images that it is trained on.
        seed: Of its initial weights and the order of images.

    Raises:
        ValueError: If a number is not positive.
    """

    own_classes = True
    needs_examples = True

    def __init__(self, dim: int = 64, width: int = 16, kimg: float = 20.0, seed: int = 0) -> None:
        for name, number in (("dim", dim), ("width", width), ("kimg", kimg)):
            positive(name, number)
        at_least("seed", seed, 0)
        self.dim, self.width, self.kimg, self.seed = dim, width, kimg, seed
        self.feature_dim = dim
        self.accuracy = 0.0

    def prepare(self, examples: Examples | None = None) -> None:
        if examples is None or examples.labels is None:
            raise GanlabError(
                "features=classifier is trained on labels, and the data has none: take features=efficientnet_lite0 "
                "or features=inception."
            )
        self.logits_dim = examples.num_classes
        shape = tuple(examples.images.shape[1:])
        self.network = _Network(shape, examples.num_classes, self.dim, self.width)
        key = hashlib.blake2b(
            repr((_VERSION, examples.fingerprint, shape, self.dim, self.width, self.kimg, self.seed)).encode(),
            digest_size=10,
        ).hexdigest()
        path = examples.cache / "classifiers" / f"{key}.pt"
        if not self._load(path):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(randomness.key(self.seed, "classifier"))
                self.network = _Network(shape, examples.num_classes, self.dim, self.width)
                self._train(examples)
            self.accuracy = self._measure(examples)
            self._save(path)
        self.network.eval().requires_grad_(False)

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        features, logits = self.network(images)
        return features, logits

    def describe(self) -> dict[str, Any]:
        return {"layer": f"last hidden {self.dim}", "resize": "none", "held_out_accuracy": round(self.accuracy, 4)}

    def _train(self, examples: Examples, batch: int = 64) -> None:
        assert examples.labels is not None
        steps = max(1, round(1000 * self.kimg / batch))
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=2e-3, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
        shift = max(1, min(examples.images.shape[2:]) // 8)
        self.network.train()
        for _ in range(steps):
            rows = torch.randint(len(examples.images), (batch,))
            images = F.pad(examples.images[rows].float(), (shift,) * 4, mode="replicate")
            top, left = (int(torch.randint(2 * shift + 1, ())) for _ in range(2))
            height, width = examples.images.shape[2:]
            _, logits = self.network(images[:, :, top : top + height, left : left + width])
            loss = F.cross_entropy(logits, examples.labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
        self.network.eval()

    @torch.no_grad()
    def _measure(self, examples: Examples) -> float:
        if examples.held_out_labels is None or not len(examples.held_out):
            return float("nan")
        predicted = torch.cat([self.network(part)[1].argmax(1) for part in examples.held_out.split(256)])
        return float((predicted == examples.held_out_labels).double().mean())

    def _load(self, path: Path) -> bool:
        try:
            with path.open("rb") as file:
                if files.damaged_member(file) is not None:
                    return False
                stored = torch.load(file, map_location="cpu", weights_only=True)
            self.network.load_state_dict(stored["network"])
            self.accuracy = float(stored["accuracy"])
        except Exception:  # not there, or whatever a torn file makes torch raise: it is trained again
            return False
        return True

    def _save(self, path: Path) -> None:
        # a cache that cannot be written costs time, not the evaluation
        with suppress(OSError), files.whole(path) as file, files.for_torch(file) as target:
            torch.save({"network": self.network.state_dict(), "accuracy": self.accuracy}, target)


class _Network(nn.Module):
    """3 x 3 convolutions that halve the image down to 4 or 5 pixels, a hidden layer, classes."""

    def __init__(self, shape: tuple[int, ...], num_classes: int, dim: int, width: int) -> None:
        super().__init__()
        channels, size = shape[0], min(shape[1:])
        layers: list[nn.Module] = []
        out = width
        while True:
            layers += [nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
            if size < 8:
                break
            layers += [nn.MaxPool2d(2)]
            size, out = size // 2, min(2 * out, 256)
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(min(4, size)), nn.Flatten())
        self.hidden = nn.Linear(channels * min(4, size) ** 2, dim)
        self.drop = nn.Dropout(0.3)
        self.classes = nn.Linear(dim, num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = F.relu(self.hidden(self.body(images.to(self.hidden.weight.dtype) / 127.5 - 1)))
        return features, self.classes(self.drop(features))
