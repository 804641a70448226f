"""Scores under one protocol: streams of images become summaries, and summaries become scores."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganlab.contracts.metric import Context, Kept, Metric, Role, Score, Stream, Summary, Tensors
from ganlab.core import code_files, distributed, randomness
from ganlab.core.errors import GanlabError
from ganlab.data.run_images import RunData
from ganlab.evaluation import large, one_pass, points, reference
from ganlab.evaluation.extraction import prepared
from ganlab.evaluation.protocol import Protocol, asks, digest
from ganlab.evaluation.result import Result
from ganlab.evaluation.sources import Source, of_images


class Evaluator:
    """Scores streams of images under one protocol. Summaries of the real images are made once for all of them.

    Args:
        protocol: How scores are taken.
        real: The data.
        device: Where features are extracted and sums are kept.
        cache: ganlab's cache folder.
        statistics: An .npz file of FID statistics to compare with instead of real images; None: the data's.

    Raises:
        GanlabError: If protocol and data do not fit, or the extractor's weights cannot be loaded.
    """

    def __init__(
        self,
        protocol: Protocol,
        real: RunData,
        *,
        device: torch.device | str = "cpu",
        cache: Path,
        statistics: str | None = None,
    ) -> None:
        self.real, self.device = real, torch.device(device)
        self.warnings: list[str] = []
        if not len(real.splits[protocol.reference]):
            self.warnings.append(
                f"The data has no {protocol.reference} split (data.held_out=0), so the reference is what the run was "
                f"trained on; train with data.held_out=0.1 to report on {real.images.things} that it never saw."
            )
            protocol = replace(protocol, reference="train")
        self.protocol = protocol.completed()
        self.metrics = protocol.make_metrics()
        if not self.metrics:
            raise GanlabError("metrics= is empty: name at least one, as metrics=fid,kid.")
        points.refuse(self.protocol, self.metrics, real)
        large.refuse(self.protocol, self.metrics, self._expected(protocol.samples))
        self._cache = reference.Cache(cache / "statistics")
        self._rows = self._rows_of_roles()
        self._refuse_labels()
        asks_extractor = self._asks("features", "logits")
        self.extractor = prepared(protocol.make_extractor(), real, self.device, cache) if asks_extractor else None
        if self._asks("logits") and self.extractor is not None and not self.extractor.logits_dim:
            asking = next(n for n, m in self.metrics.items() if asks(m, "logits"))
            raise GanlabError(
                f"{asking} needs class probabilities, and features={protocol.features.get('component')} classifies "
                f"nothing: take features=classifier, inception or efficientnet_lite0, or leave {asking} out."
            )
        self._statistics = self._given(statistics)
        self._kept: dict[Role, Kept] | None = None

    # --- summaries of real images

    def _rows_of_roles(self) -> dict[Role, tuple[str, Tensor]]:
        protocol, splits = self.protocol, self.real.splits
        rows = splits[protocol.reference]
        if protocol.reference_images:
            if protocol.reference_images > len(rows):
                raise GanlabError(
                    f"reference_images={protocol.reference_images:,}, and the {protocol.reference} split has "
                    f"{len(rows):,} {self.real.images.things}: give fewer, or 0 for all."
                )
            generator = randomness.generator("cpu", protocol.seed, "reference", len(rows))
            rows = rows[torch.randperm(len(rows), generator=generator)[: protocol.reference_images].sort().values]
        held_out = "test" if protocol.reference == "train" else protocol.reference
        return {
            "real": (protocol.reference, rows),
            "train": ("train", splits["train"]),
            "held_out": (held_out, splits[held_out]),
        }

    def _real_kept(self) -> dict[Role, Kept]:
        """Return the summaries of real images, from the cache where it has them. Roles of the same images share one
        pass."""
        if self._kept is None:
            kept: dict[Role, Kept] = {}
            groups: dict[tuple[str, str], list[Role]] = {}
            for role, (split, rows) in self._rows.items():
                chosen = digest(rows.tolist()) if len(rows) < len(self.real.splits[split]) else ""
                if self._summaries(role) and len(rows):
                    groups.setdefault((split, chosen), []).append(role)
            for key, roles in groups.items():
                source = of_images(self.real.images, self._rows[roles[0]][1])
                stream = self._stream(source)
                if self._statistics is not None and "real" in roles:
                    kept["real"] = Kept(stream, {"moments": self._statistics[0]})
                    roles.remove("real")
                summaries = list(dict.fromkeys(summary for role in roles for summary in self._summaries(role)))
                found = self._collect_cached(key, source, stream, summaries)
                kept.update({role: Kept(stream, found) for role in roles})
            self._kept = kept
        return self._kept

    def _collect_cached(
        self, key: tuple[str, str], source: Source, stream: Stream, summaries: Sequence[Summary]
    ) -> dict[Any, Tensors]:
        extractor = self._extractor_key()
        paths = {
            s: self._cache.path(self.real.fingerprint, *key, stream, extractor if s.features or s.logits else "", s)
            for s in summaries
        }
        found: dict[Any, Tensors] = {}
        if distributed.world_size() == 1:  # ranks might see different files
            read = {s: self._cache.read(path) for s, path in paths.items()}
            found = {s: self._on_device(tensors) for s, tensors in read.items() if tensors is not None}
        missing = [s for s in summaries if s not in found]
        if missing:
            collected, _ = one_pass.collect(
                source, stream, missing, self.extractor, self.device, f"{key[0]} {self.real.images.things}"
            )
            found.update(collected)
            if distributed.rank() == 0:
                for s in missing:
                    self._cache.write(paths[s], collected[s])
        return found

    def _on_device(self, tensors: Tensors) -> Tensors:
        """Move cached summaries to the device of those of generated images."""
        return {name: tensor.to(one_pass.where_kept(self.device)) for name, tensor in tensors.items()}

    def _extractor_key(self) -> str:
        code = " ".join(self._code().values())
        if self.extractor is None:
            return code
        return (
            f"{self.protocol.features['component']} {self.extractor.weights_hash()} {self.extractor.describe()}{code}"
        )

    # --- scoring

    def score(self, source: Source, context: Context | None = None, truncation: float | None = None) -> Result:
        """Score a stream.

        Args:
            source: The images.
            context: Parts of the run that metrics may use; the evaluator adds its own. None: there is no run,
                and metrics that need one are left out.
            truncation: That the source was made with.

        Raises:
            GanlabError: If images are NaN, or the streams do not allow a metric.
        """
        stream, metrics = self.prepare(source, context)
        kept = dict(self._real_kept())
        summaries = self._summaries("fake")
        if source.are_points:
            summaries = list(dict.fromkeys([*summaries, points.SHOWN]))
        start = time.perf_counter()
        collected, samples = one_pass.collect(source, stream, summaries, self.extractor, self.device, "samples")
        seconds = time.perf_counter() - start
        kept["fake"] = Kept(stream, collected)
        if source.are_points and distributed.rank() == 0:
            samples = collected[points.SHOWN]["images"].cpu()
        own = {name: one_pass.measure(m, context, name) for name, m in metrics.items() if context and m.own_samples}
        scores: dict[str, Score] = {}
        if distributed.rank() == 0:
            context = replace(
                context or Context(),
                class_names=self.real.images.class_names,
                own_classifier=self.extractor is not None and self.extractor.own_classes,
                images=self._pixels,
                features=self._features,
                modes=points.modes_of(self.real),
            )
            with distributed.alone():
                for name, metric in metrics.items():
                    scores[name] = metric.score(self._for_metric(metric, kept), replace(context, own=own.get(name)))
        speed, meanings = (
            source.count / seconds,
            {n: m for metric in metrics.values() for n, m in metric.meanings.items()},
        )
        protocol, reals = self.described(source.count, truncation), self._shown_reals()
        return Result(scores, protocol, samples, speed, self.warnings, meanings, reals)

    def prepare(self, source: Source, context: Context | None = None) -> tuple[Stream, dict[str, Metric]]:
        """Check that a stream can be scored, before its first image is made.

        Raises:
            GanlabError: If it cannot be.

        Returns:
            Facts about the stream, and the metrics that it will have.
        """
        if source.shape != tuple(self.real.images.pixels.shape[1:]):
            raise GanlabError(
                f"Images are {source.shape}, and the data's are {tuple(self.real.images.pixels.shape[1:])}."
            )
        self._refuse_fewer_labels(source)
        stream = self._stream(source)
        # images that no networks come with: held-out real ones, scored beside those of a run
        metrics = {name: m for name, m in self.metrics.items() if context is not None or not m.needs_run}
        context = replace(context or Context(), modes=points.modes_of(self.real))
        large.refuse(self.protocol, metrics, stream)
        for metric in metrics.values():
            metric.prepare(stream, context)
        return stream, metrics

    def described(self, samples: int, truncation: float | None) -> dict[str, Any]:
        """Return the protocol as it is carried out, as JSON."""
        protocol, images = self.protocol, self.real.images
        features = {**protocol.features}
        if self.extractor is not None:
            features.update(self.extractor.describe(), weights=self.extractor.weights_hash())
        split: dict[str, Any] = {"split": protocol.reference, "count": len(self._rows["real"][1])}
        split["data"] = digest(self.real.fingerprint)
        if self._statistics is not None:
            split = {"statistics": self._statistics[1]}
        return {
            "name": protocol.name,
            "features": features if self.extractor is not None else None,
            "metrics": {name: dict(options) for name, options in protocol.metrics.items()},
            "samples": samples,
            "reference": split,
            "image_size": list(images.pixels.shape[2:]),
            "image_channels": images.pixels.shape[1],
            "truncation": truncation,
            "ema": protocol.ema,
            "labels": protocol.labels if images.num_classes else "none",
            "seed": protocol.seed,
            "quantised": not images.are_points,
            **({code_files.OPTION: code} if (code := self._code()) else {}),
        }

    # --- inside

    def _code(self) -> dict[str, str]:
        """Return the hashes of files of the user's own that the extractor and the metrics are of."""
        return code_files.used([*self.protocol.metrics, str(self.protocol.features.get("component"))])

    def _for_metric(self, metric: Metric, kept: Mapping[Role, Kept]) -> dict[Role, Kept]:
        """Return the streams with summaries under the metric's own names."""
        found: dict[Role, Kept] = {}
        for role, all_of_role in kept.items():
            named = metric.summaries(role) if role in metric.roles else {}
            if named:
                given = all_of_role.summaries if role == "real" and self._statistics is not None else None
                summaries = given or {name: all_of_role.summaries[s] for name, s in named.items()}  # type: ignore[index]
                found[role] = Kept(all_of_role.stream, summaries)
        return found

    def _summaries(self, role: Role) -> list[Summary]:
        """Return the summaries that all metrics need of a role, equal ones once."""
        named = [m.summaries(role) for m in self.metrics.values() if role in m.roles]
        return list(dict.fromkeys(summary for summaries in named for summary in summaries.values()))

    def _asks(self, *needs: str) -> bool:
        return any(asks(metric, need) for metric in self.metrics.values() for need in needs)

    def _expected(self, samples: int) -> Stream:
        """Return what is known of the stream before the extractor is."""
        channels, height, width = self.real.images.pixels.shape[1:]
        return Stream(samples, 0, 0, (channels, height, width), self.real.images.num_classes)

    def _stream(self, source: Source) -> Stream:
        extractor = self.extractor
        dims = (extractor.feature_dim, extractor.logits_dim) if extractor is not None else (0, 0)
        return Stream(source.count, *dims, source.shape, source.num_classes, self.protocol.seed)

    def _given(self, statistics: str | None) -> tuple[Tensors, str] | None:
        if statistics is None:
            return None
        for name, metric in self.metrics.items():
            if "real" in metric.roles and set(metric.summaries("real")) - {"moments"}:
                raise GanlabError(
                    f"reference_file holds mean and covariance, and {name} needs more of the real images."
                )
        moments, hashed = reference.given(statistics, self.extractor.feature_dim if self.extractor is not None else 0)
        return self._on_device(moments), hashed

    def _refuse_labels(self) -> None:
        for name, metric in self.metrics.items():
            if asks(metric, "labels") and self.real.images.labels is None:
                raise GanlabError(f"{name} needs labels, and the data has none: leave {name} out.")

    def _refuse_fewer_labels(self, source: Source) -> None:
        for name, metric in self.metrics.items():
            if asks(metric, "labels") and not source.num_classes:
                raise GanlabError(f"{name} needs labels, and these images have none: leave {name} out.")

    def _shown_reals(self) -> Tensor | None:
        """Return real points to show beside samples; None of images."""
        images, rows = self.real.images, self._rows["real"][1]
        return images.pixels[rows[: points.SHOWN.limit]] if images.are_points else None

    def _pixels(self, role: Role, places: Tensor) -> Tensor:
        return self.real.images.pixels[self._rows[role][1][places.cpu()]]

    @torch.no_grad()
    def _features(self, images: Tensor) -> Tensor:
        assert self.extractor is not None
        parts = images.split(one_pass.BATCH)
        return torch.cat([one_pass.extract(self.extractor, part.to(self.device))[0] for part in parts])
