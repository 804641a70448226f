"""Protocols: everything that a score depends on beside the images, and the presets ``conf/protocol/NAME.yaml``."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from ganlab.config import catalog, component, nearest, option_table, schema
from ganlab.config.configuration import Config
from ganlab.config.schema import COMPONENT
from ganlab.contracts.extractor import Extractor
from ganlab.contracts.metric import Metric
from ganlab.core import code_files, registry
from ganlab.core.errors import GanlabError, one_of, suggestion
from ganlab.data.splits import SPLITS

LABELS = ("data", "uniform")
_USUAL = "fast"


@dataclass(frozen=True)
class Protocol:
    """A way to take scores.

    Args:
        name: Of the preset that it began with.
        features: The extractor's name and options; empty: none.
        metrics: Options of each metric, by name.
        samples: Generated images; 0: as many as the reference has.
        reference: The split of real images to compare with: ``train``, ``validation`` or ``test``.
        reference_images: How many of it, a keyed choice; 0: all.
        truncation: Latents are drawn given that no |z_i| exceeds it; None: not truncated.
        ema: Whether the averaged generator is evaluated, or the raw one.
        labels: Labels of conditional samples: with the shares that the training ``data`` has, or ``uniform``.
        seed: Of latents, labels and the choice of real images.
    """

    name: str = "fast"
    features: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    samples: int = 5000
    reference: str = "train"
    reference_images: int = 0
    truncation: float | None = None
    ema: bool = True
    labels: str = "data"
    seed: int = 0

    def changed(self, values: Mapping[str, Any]) -> Protocol:
        """Return the protocol with some values changed.

        Keys are fields of this class, with ``metrics`` as a list of names and ``features`` as a name, and options of
        both as ``METRIC.OPTION`` and ``features.OPTION``.

        Raises:
            GanlabError: If a key is none of these or a value is wrong.
        """
        plain = {key: value for key, value in values.items() if "." not in key}
        fields: dict[str, Any] = {}
        for key, value in plain.items():
            if key == "metrics":
                names = [str(name) for name in (value if isinstance(value, (list, tuple)) else [value])]
                known = {name: self.metrics.get(name, {}) for name in names}
                fields[key] = {str(name): dict(options) for name, options in known.items()}
            elif key == "features":
                same = self.features.get(COMPONENT) == value
                fields[key] = dict(self.features) if same else {COMPONENT: str(value)}
            elif key in _KINDS:
                fields[key] = _converted(key, value)
            else:
                known_keys = [*_KINDS, "metrics", "features"]
                raise GanlabError(f"{key!r} is no option of a protocol.{suggestion(key, known_keys)}")
        changed = replace(self, **fields)
        for key in values.keys() - plain.keys():
            owner, _, option = key.partition(".")
            if owner == "features" and "." not in option:
                changed = replace(changed, features={**changed.features, option: values[key]})
            elif owner in (keys := {code_files.short(name): name for name in changed.metrics}):
                options = {**changed.metrics[keys[owner]], option: values[key]}
                changed = replace(changed, metrics={**changed.metrics, keys[owner]: options})
            else:
                extractor = changed.features.get(COMPONENT)
                nodes = {} if extractor is None else {"features": option_table.node("features", str(extractor))}
                nodes.update({key: _node_of_metric(name) for key, name in keys.items()})
                near = nearest.suggestion(key, nodes) or suggestion(owner, nodes)
                raise GanlabError(
                    f"{key!r} is no option of this evaluation.{near} They are features.OPTION and METRIC.OPTION, of "
                    f"{', '.join(keys)}."
                )
        changed._check()
        return changed

    def _check(self) -> None:
        try:
            one_of(self.reference, SPLITS, "reference")
            one_of(self.labels, LABELS, "labels")
        except ValueError as error:
            raise GanlabError(str(error)) from error
        for name, least in (("samples", 0), ("reference_images", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise GanlabError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if self.truncation is not None and not self.truncation > 0:
            raise GanlabError(f"truncation must be positive or null, got {self.truncation}.")

    def make_metrics(self) -> dict[str, Metric]:
        """Construct the metrics.

        Raises:
            GanlabError: With every mistake in their options.
        """
        return {
            name: _made("metric", _component(name), code_files.short(name), {**_of_family(name), **options})
            for name, options in self.metrics.items()
        }

    def without_labels(self) -> Protocol:
        """Return the protocol without the metrics that need labels."""
        made = self.make_metrics()
        return replace(self, metrics={n: o for n, o in self.metrics.items() if not asks(made[n], "labels")})

    def make_extractor(self) -> Extractor:
        """Construct the extractor, which is not yet prepared.

        Raises:
            GanlabError: If the protocol has none, or an option is wrong.
        """
        if COMPONENT not in self.features:
            raise GanlabError(f"protocol={self.name} has no feature extractor: give one, as features=inception.")
        options = {name: value for name, value in self.features.items() if name != COMPONENT}
        extractor: Extractor = _made("features", str(self.features.get(COMPONENT)), "features", options)
        return extractor

    def completed(self) -> Protocol:
        """Return the protocol with every option of the extractor and the metrics, as it is written with a score."""
        features = dict(self.features)
        if COMPONENT in features:
            features = {**option_table.node("features", str(features[COMPONENT])), **features}
        metrics = {name: _node_of_metric(name, options) for name, options in self.metrics.items()}
        for options in metrics.values():
            options.pop(COMPONENT)
        return replace(self, features=features, metrics=metrics)


def asks(metric: Metric, need: str) -> bool:
    """Tell if a metric needs ``features``, ``logits`` or ``labels``."""
    return any(getattr(s, need) for role in metric.roles for s in metric.summaries(role).values())


_KINDS: dict[str, Any] = {
    "name": str,
    "samples": int,
    "reference": str,
    "reference_images": int,
    "truncation": float | None,
    "ema": bool,
    "labels": str,
    "seed": int,
}


def names() -> list[str]:
    """Return the names of all presets, ganlab's own and the user's."""
    found = {file.stem for _, folder in catalog.preset_folders() for file in (folder / "protocol").glob("*.yaml")}
    return sorted(found)


def own(data: str) -> str:
    """Return the preset that scores a data set unless another one is asked for: of its name, or what its class says.

    Args:
        data: The name of its component.
    """
    if data in names():
        return data
    try:
        return str(getattr(registry.load("data", data), "protocol", _USUAL))
    except GanlabError:  # a run of a plug-in that is not installed here
        return _USUAL


def metrics_of(config: Config) -> tuple[str, ...]:
    """Return the metrics that a run is scored by during training: ``evaluate.metrics``, or the protocol's first one.

    Raises:
        GanlabError: If there is no such protocol.
    """
    return config.evaluate.metrics or tuple(preset(config.evaluate.protocol or own(config["data"].name)).metrics)[:1]


def preset(name: str) -> Protocol:
    """Return a protocol by name.

    Raises:
        GanlabError: If there is none of this name, or its file is wrong.
    """
    for _, folder in catalog.preset_folders():
        file = folder / "protocol" / f"{name}.yaml"
        if os.path.isfile(file):  # the name may be too long for one
            try:
                content = yaml.safe_load(file.read_text(encoding="utf-8"))
            except (OSError, ValueError, yaml.YAMLError) as error:
                raise GanlabError(f"{file} cannot be read: {' '.join(str(error).split())[:100]}.") from error
            if not isinstance(content, Mapping):
                raise GanlabError(f"{file} holds no mapping of a protocol's options.")
            values = dict(content)
            metrics, features = values.pop("metrics", {}), values.pop("features", {})
            named = isinstance(features, Mapping) and (not features or COMPONENT in features)
            if not isinstance(metrics, Mapping) or not named:
                raise GanlabError(
                    f"{file}: metrics must be a mapping NAME: {{options}}, features one with component: NAME."
                )
            plain = {str(key): dict(options or {}) for key, options in metrics.items()}
            return Protocol(name, dict(features), plain).changed(values)
    raise GanlabError(f"No protocol is called {name!r}.{suggestion(name, names())} Known: {', '.join(names())}.")


def digest(content: Any) -> str:
    """Return 12 hexadecimal digits that depend on a value, which must be JSON."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def first_difference(a: Any, b: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """Return the dotted key and both values where two protocols first differ; None if they do not."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in [*a, *(k for k in b if k not in a)]:
            inner = f"{where}.{key}" if where else str(key)
            if key not in a or key not in b:
                return inner, a.get(key), b.get(key)
            found = first_difference(a[key], b[key], inner)
            if found is not None:
                return found
        return None
    return None if a == b else (where, a, b)


def _of_family(name: str) -> dict[str, str]:
    """The option that FAMILY:NAME is short for: of a metric that makes one of many, by their names."""
    return {"metric": name.partition(":")[2]} if _component(name) != name else {}


def _component(name: str) -> str:
    """The component of a metric that is one of many, FAMILY:NAME; that of a file is FILE.py:NAME itself."""
    return name if code_files.split(name) is not None else name.partition(":")[0]


def _node_of_metric(name: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The options of a metric, those of its constructor under those that are given."""
    return {**option_table.node("metric", _component(name)), **_of_family(name), **(options or {})}


def _converted(key: str, value: Any) -> Any:
    try:
        return schema.convert(value, _KINDS[key])
    except ValueError as error:
        raise GanlabError(f"{key} {error}.") from error


def _made(kind: str, name: str, key: str, options: Mapping[str, Any]) -> Any:
    return component.checked(kind, key, {**options, COMPONENT: name}).make()
