"""Conditions between components, computed from their declarations; a sentence for each that is not met.

A component declares with three attributes, of its class or of the object (then they may depend on its
options); a component that declares nothing goes with everything:

- ``provides``: words, such as ``("energy",)``, for what it gives to the others of a run;
- ``needs``: words that another component of the run must provide;
- ``refuses``: word -> reason, for what it does not go with.

The words are those of `WORDS`; a plug-in may use its own. Some are found without being declared:
``generator``, and ``features``, ``dropout`` and ``labels`` of a discriminator, see `provided`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

WORDS: dict[str, tuple[str, str]] = {
    # word: (what it is, what to do for it)
    "adversarial": (
        "a game that hands the logits of reals and fakes to an adversarial loss",
        "choose such a game, as game=standard",
    ),
    "discriminator": ("a game with a discriminator", "choose one, as game=standard"),
    "encoder": ("a game with an encoder", "choose one, as game=bigan"),
    "generator": (
        "a generator that ganlab trains from latents",
        "train with `ganlab train` or `ganlab.GANModule`, which own one",
    ),
    "features": (
        "a discriminator with features(x, y) and head(features, y)",
        "choose one, as discriminator=sngan, in a game that takes one",
    ),
    "dropout": ("dropout in the discriminator", "choose a discriminator that has some, or add reg=dropout"),
    "dropout_places": (
        "a discriminator with a list of blocks, or with features(x, y) and head(features, y)",
        "choose one, as discriminator=sngan, or name modules as reg.dropout.places",
    ),
    "labels": (
        "class labels",
        "take a data set with classes and networks that use them, and leave data.num_classes unset",
    ),
    "energy": (
        "a discriminator whose -logit is an energy, bounded below",
        "choose one, as discriminator=autoencoder, or, on points, another loss",
    ),
    "code": ("an auto-encoder as discriminator, which has a code", "choose one, as discriminator=autoencoder"),
    "embedding": (
        "a discriminator with features(x, y), or an auto-encoder",
        "choose one, as discriminator=autoencoder",
    ),
    "f_divergence": ("a loss that estimates an f-divergence", "choose one, as loss=non_saturating"),
}


def provided(part: Any, role: str = "") -> set[str]:
    """Return the words that a component provides.

    Args:
        part: A game, network, loss, regularizer or augmentation.
        role: ``generator``, ``discriminator``: add the words that follow from the network's structure.
    """
    words = set(getattr(part, "provides", ()))
    if role == "generator" and getattr(part, "latent_dim", None):
        words.add("generator")
    if role == "discriminator":
        if callable(getattr(part, "features", None)) and callable(getattr(part, "head", None)):
            words.update(("features", "embedding", "dropout_places"))
        if isinstance(getattr(part, "blocks", None), nn.Module):
            words.add("dropout_places")
        if callable(getattr(part, "encode", None)):
            words.add("embedding")
        if getattr(part, "num_classes", 0):
            words.add("labels")
        if any(isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0 for m in part.modules()):
            words.add("dropout")
    return words


def refusals(parts: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each condition between these components that is not met.

    Args:
        parts: The components of the run as they are typed, ``reg=sn`` and so on; the networks under
            ``generator``, ``discriminator``, ``encoder``.
    """
    offers = {key: provided(part, key.partition("=")[0]) for key, part in parts.items()}
    return [sentence for key, part in parts.items() for sentence in _of(key, part, offers)]


def _of(key: str, part: Any, offers: Mapping[str, set[str]]) -> Iterator[str]:
    for word in getattr(part, "needs", ()):
        if not any(word in words for words in offers.values()):
            what, advice = WORDS.get(word, (f"what is called {word!r}", "add a component that provides it"))
            yield f"{key} needs {what}, which this run lacks: {advice}."
    for word, reason in dict(getattr(part, "refuses", {})).items():
        for other, words in offers.items():
            if other != key and word in words:
                yield f"{key} does not go with {other}: {reason.rstrip('.')}."
