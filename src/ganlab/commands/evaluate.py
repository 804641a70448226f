"""``ganlab evaluate RUN``: scores, each with its protocol."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganlab.core.errors import GanlabError, suggestion

HELP = """ganlab evaluate RUN [key=value ...]
ganlab evaluate images=FOLDER_OR_ZIP data=NAME [data.path=...] [key=value ...]
ganlab evaluate RUN RUN ...                  the newest scores of several runs, if they are of one protocol

  protocol=null       digits, fast, studiogan, mimicry, stylegan, mmgeneration, clean or a YAML of your own in
                      conf/protocol; null: the data's own best one. It sets what follows:
  metrics=            fid,fid_infinity,kid,is,prdc,per_class,ms_ssim,spectrum,memorization,ppl
  features=           classifier, inception, clip, dinov2, efficientnet_lite0, file
  samples=            generated images; 0: as many as the reference has
  reference=          train, validation or test: the real images to compare with
  reference_images=0  how many of them; 0: all
  truncation=null     latents given that no |z_i| exceeds it
  ema=true            the averaged generator, or the raw one
  labels=data         or uniform: the labels of conditional samples
  seed=0
  METRIC.OPTION= and features.OPTION=      see `ganlab show metric NAME`, `ganlab show features NAME`

  checkpoint=last     best, all, an iteration, or the name or path of a file; RUN may be such a file itself
  sweep=null          truncation: a score for each of values=0.3:1.0:0.1
  real=null           score held-out real images like generated ones too; null: with the data's own protocol
  reference_file=null an .npz of FID statistics (mu, sigma) instead of real images
  device=auto         cpu, cuda, cuda:1, mps; auto: a GPU if there is one
  out=null            folder for evaluation.jsonl of images=; null: beside them
"""
DEFAULTS: dict[str, Any] = {
    "protocol": None,
    "metrics": None,
    "features": None,
    "samples": None,
    "reference": None,
    "reference_images": None,
    "truncation": None,
    "ema": None,
    "labels": None,
    "seed": None,
    "checkpoint": "last",
    "sweep": None,
    "values": None,
    "real": None,
    "reference_file": None,
    "images": None,
    "device": "auto",
    "out": None,
}
_TYPES: dict[str, Any] = {  # of what no protocol has, and so does not check
    "checkpoint": str | int,
    "sweep": str | None,
    "real": bool | None,
    "reference_file": str | None,
    "images": str | None,
    "device": str | None,
    "out": str | None,
}
_OF_PROTOCOL = (
    "metrics", "features", "samples", "reference", "reference_images", "truncation", "ema", "labels", "seed",
)  # fmt: skip


def run(words: Sequence[str], options: Sequence[str], flags: Sequence[str]) -> int:
    chosen, data = _read(options)
    if chosen["images"] is not None:
        if words:
            raise GanlabError(f"images= are evaluated by themselves: leave {words[0]} out, or images=.")
        _refuse(chosen, ("checkpoint", "sweep", "values", "real", "truncation", "ema", "labels"), "images= are given")
        return _images(chosen, data)
    _refuse(chosen, ("out",), "the scores of a run stay in its folder")
    if data:
        raise GanlabError(f"{data[0]} goes with images=; a run is evaluated on the data of its own configuration.")
    if not words:
        raise GanlabError("`ganlab evaluate` takes a run folder, or images=FOLDER_OR_ZIP with data=NAME.")
    from ganlab.reports import table
    from ganlab.runs import choice, run_folder, scoring

    if len(words) > 1:
        folders = [run_folder.existing(word) for word in words]
        print(table.table(scoring.same_protocol(folders), [folder.name for folder in folders]))
        return 0
    folder, which = choice.named(words[0], chosen["checkpoint"])
    config = run_folder.read_config(folder)
    data_set = str(config["data"]["component"])
    protocol = _protocol(chosen, data_set)
    if chosen["metrics"] is None and not config["data"]["num_classes"]:
        protocol = protocol.without_labels()
    truncations = _truncations(chosen)
    real = chosen["real"]
    if real is None:  # a data set's own protocol generates as many images as are held out
        real = protocol.name == data_set and bool(config["data"].get("held_out"))
    with _measured() as found:
        scoring.evaluate_run(
            folder,
            protocol,
            which=which,
            truncations=truncations,
            statistics=chosen["reference_file"],
            device=choice.device(chosen["device"]),
            with_real=bool(real),
            say=found.append,
        )
    return _finish(folder, found)


def _images(chosen: Mapping[str, Any], data: Sequence[str]) -> int:
    from ganlab.assembly import run_data
    from ganlab.config import compose
    from ganlab.runs import choice, scoring

    if not any(word.startswith("data=") for word in data):
        raise GanlabError("images= are compared with real ones: say which, as data=zip data.path=real.zip.")
    composed = compose.read(list(data))
    protocol = _protocol(chosen, str(composed["data"]["component"]))
    real = run_data.open_data(composed)
    path = Path(os.path.expanduser(str(chosen["images"])))
    if not os.path.exists(path):
        raise GanlabError(f"There is no folder or archive images={chosen['images']}.")
    out = Path(chosen["out"]) if chosen["out"] else (path.parent if os.path.isfile(path) else path.absolute().parent)
    with _measured() as found:
        scoring.evaluate_images(
            str(chosen["images"]), protocol, real, out=out, statistics=chosen["reference_file"],
            device=choice.device(chosen["device"]), as_labels_allow=chosen["metrics"] is None, say=found.append,
        )  # fmt: skip
    return _finish(out, found)


@contextmanager
def _measured() -> Iterator[list[Mapping[str, Any]]]:
    """A list for records; what was measured before a mistake, an interruption or a full disk is shown all the same."""
    from ganlab.reports import table

    found: list[Mapping[str, Any]] = []
    try:
        yield found
    except (GanlabError, KeyboardInterrupt):
        if found:
            print(table.table(found), flush=True)
        raise


def _finish(folder: Path, records: Sequence[Mapping[str, Any]]) -> int:
    from ganlab.evaluation import scores
    from ganlab.reports import page, table

    print(table.table(records))
    for warning in dict.fromkeys(w for record in records for w in record["warnings"]):
        print(f"note: {warning}", file=sys.stderr)
    first = records[0]
    print(f"protocol {first['protocol']['name']} {first['protocol_hash']}: {folder / scores.FILE}")
    print(f"to look at: {page.write(folder)}")
    return 0


def _refuse(chosen: Mapping[str, Any], keys: Sequence[str], why: str) -> None:
    """Options that would have no effect."""
    for key in keys:
        if chosen[key] != DEFAULTS[key]:
            raise GanlabError(f"{key}={chosen[key]} has no effect here, since {why}: leave it out.")


def _read(options: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The options of this command, and the words about data."""
    from ganlab.config import compose

    chosen, data = dict(DEFAULTS), []
    chosen["more"] = {}
    for word in options:
        key, _, value = word.partition("=")
        if key == "data" or key.startswith("data."):
            data.append(word)
            continue
        if key == "values":
            chosen["values"] = value
            continue
        if key == "metrics":  # a list with or without brackets
            chosen["metrics"] = [name.strip() for name in value.strip("[]'\"").split(",") if name.strip()]
            continue
        (override,) = compose.parse([word])
        if override.is_sweep_override():
            raise GanlabError(f"{word} has several values: an evaluation takes one.")
        if key in DEFAULTS:
            chosen[key] = _converted(key, override.value())
        elif "." in key:
            chosen["more"][key] = override.value()
        else:
            raise GanlabError(
                f"`ganlab evaluate` has no option {key!r}.{suggestion(key, DEFAULTS)} Options: {', '.join(DEFAULTS)}."
            )
    return chosen, data


def _converted(key: str, value: Any) -> Any:
    from ganlab.config import schema

    try:
        return schema.convert(value, _TYPES.get(key, Any))
    except ValueError as error:
        raise GanlabError(f"{key} {error}.") from error


def _protocol(chosen: Mapping[str, Any], data: str) -> Any:
    from ganlab.evaluation import protocol

    own = data if data in protocol.names() else "fast"  # a data set may bring a protocol of its name
    name = str(chosen["protocol"]) if chosen["protocol"] is not None else own
    found = protocol.preset(name)
    values = {key: chosen[key] for key in _OF_PROTOCOL if chosen[key] is not None}
    return found.changed({**values, **chosen["more"]})


def _truncations(chosen: Mapping[str, Any]) -> list[float | None] | None:
    from ganlab.runs import scoring

    if (chosen["sweep"] is None) != (chosen["values"] is None):
        raise GanlabError("sweep= and values= go together: sweep=truncation values=0.3:1.0:0.1.")
    if chosen["sweep"] is None:
        return None
    if chosen["sweep"] != "truncation":
        raise GanlabError(f"sweep={chosen['sweep']} is not known; there is sweep=truncation.")
    return list(scoring.sweep_values(str(chosen["values"])))
