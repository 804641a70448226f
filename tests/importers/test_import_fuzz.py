"""Whatever a file of another code holds becomes a run, or is refused in one sentence and leaves nothing."""

from __future__ import annotations

import copy
import itertools
import json
import pickletools
import random
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import growing_files
import native
import numpy as np
import pytest
import torch
from support.leaves import REMOVED, Place, changed, leaves, reshaped, retyped

from ganlab import cli
from ganlab.assembly import experiment
from ganlab.config import compose
from ganlab.core.errors import GanlabError
from ganlab.importers import conversion
from ganlab.runs import checkpoints

CASES = {
    "biggan_pytorch": "biggan_cifar",
    "mimicry": "mimicry_wgan_gp_32",
    "huggingface": "huggingface_deep",
    "gan_zoo": "zoo_pggan_labels",
    "pggan_tensorflow": "tf_pggan_labels",
    "stylegan_tensorflow": "tf_stylegan_labels",
}
FORMATS = [*CASES, "safetensors"]  # Hugging Face's network in the other kind of its files
PICKLED = ["biggan_pytorch", "mimicry", "huggingface", "gan_zoo"]
FEW = 9  # tries of the quick suite with each format
MANY = 400  # of the slow one, more than all but Hugging Face's files have
Content = dict[str, Any]


class Files:
    """The files of one format as their code saves them, and what they hold."""

    def __init__(self, format_name: str, folder: Path) -> None:
        self.folder, self.out, self.tries = folder, folder.parent / "runs", itertools.count()
        case = CASES.get(format_name, CASES["huggingface"])
        if format_name in ("gan_zoo", "pggan_tensorflow", "stylegan_tensorflow"):
            growing_files.write(case, folder)
        else:
            native.write(case, folder, native.read(case))
        if format_name == "safetensors":
            (path,) = folder.iterdir()
            (folder / "model.safetensors").write_bytes(in_safetensors(torch.load(path)))
            path.unlink()
        self.whole = {path: path.read_bytes() for path in sorted(folder.iterdir())}
        self.content = {path: read(path) for path in self.whole}

    def places(self) -> list[tuple[Path, Place, Any]]:
        return [(path, *leaf) for path, content in self.content.items() for leaf in leaves(content)]

    def becomes(self, path: Path, write: Callable[[Path], object]) -> str | None:
        """The sentence with which the files are refused, one of which ``write`` has written; None: they are a run."""
        out = self.out / str(next(self.tries))
        write(path)
        try:
            assert cli.dispatch(["import", str(self.folder), f"out={out}"]) == 0
        except GanlabError as error:
            assert not out.exists()
            assert "\n" not in str(error)
            assert str(error).endswith((".", "?"))
            return str(error)
        finally:
            path.write_bytes(self.whole[path])
        assert sorted(p.name for p in out.iterdir()) == ["checkpoints", "config.yaml", "environment.json"]
        checkpoints.load(out / "checkpoints" / checkpoints.LAST)
        return None


def read(path: Path) -> Content:
    if path.suffix == ".npz":
        with np.load(path) as file:
            return dict(file)
    if path.suffix == ".safetensors":
        return dict(json.loads(path.read_bytes()[8 : 8 + struct.unpack("<Q", path.read_bytes()[:8])[0]]))
    with torch.serialization.safe_globals([(Settings, "models.utils.config.BaseConfig")]):
        content = torch.load(path, weights_only=True)
    if "config" in content:
        content["config"] = vars(content["config"])
    return dict(content)


class Settings:
    """Replaces the class of pytorch_GAN_zoo's configuration."""


def write(files: Files, content: Any, path: Path) -> None:
    if path.suffix == ".npz":
        np.savez(path, **content)  # objects are pickled
    elif path.suffix == ".safetensors":
        header = json.dumps(content).encode()
        whole = files.whole[path]
        body = whole[8 + struct.unpack("<Q", whole[:8])[0] :]
        path.write_bytes(struct.pack("<Q", len(header)) + header + body)
    elif isinstance(content, dict) and isinstance(content.get("config"), dict):
        settings = growing_files.configuration()
        vars(settings).update(content["config"])
        with growing_files.picklable(settings):
            torch.save({**content, "config": settings}, path)
    else:
        torch.save(content, path)


def in_safetensors(tensors: dict[str, torch.Tensor]) -> bytes:
    body, table = b"", {}
    for name, value in tensors.items():
        data = value.float().numpy().tobytes()
        table[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    header = json.dumps(table).encode()
    return struct.pack("<Q", len(header)) + header + body


def others_of(path: Path, value: Any) -> tuple[list[Any], ...]:
    """Replacements of a leaf: nothing, values of other types, values of other shapes."""
    if isinstance(value, np.ndarray):
        types = [
            value.astype(np.int64), value.astype(np.complex64), value.astype(str), value.astype(object),
            value.astype(np.float16), value.astype(">f4"), value.astype(bool), value.astype("datetime64[s]"),
        ]  # fmt: skip
        return [REMOVED], types, [np.zeros(2, np.float32), value[None], value.ravel()[:0], np.zeros((1, 1, 3))]
    if path.suffix == ".safetensors":
        words: list[Any] = ["x", None, 3, 0.5, True, {}, [], -1, 2**70, [value]]
        return (
            [REMOVED],
            [word for word in words if word != value],
            [[value, value], {"value": value}, -value - 1 if type(value) is int else "F64"],
        )
    wide = [value.flatten()[:1].expand(2**45)] if isinstance(value, torch.Tensor) and value.numel() else []
    return [REMOVED], retyped(value), [*reshaped(value), *wide]


def changes(files: Files) -> list[tuple[Path, Callable[[], Any]]]:
    """Every leaf removed, retyped and reshaped, in one way each, and names that are no words."""
    found: list[tuple[Path, Callable[[], Any]]] = []
    for number, (path, place, value) in enumerate(files.places()):
        for kind in range(3):
            found.append((path, partial(with_other, files.content[path], path, place, value, kind, number)))
    for path, content in files.content.items():
        if path.suffix not in (".npz", ".safetensors"):
            inner = {place[:depth] for place, _ in leaves(content) for depth in range(len(place))}
            found += [(path, partial(with_number, content, place)) for place in sorted(inner)]
            for whole in ([content], 3, None, {}, {3: content}, {"state_dict": 3}, {"model_state_dict": {3: 3}}):
                found.append((path, partial(copy.copy, whole)))
    return found


def with_other(content: Any, path: Path, place: Place, value: Any, kind: int, number: int) -> Any:
    others = others_of(path, value)[kind]
    return changed(content, place, others[number % len(others)])


def with_number(node: Any, place: Place) -> Any:
    """A copy in which the mapping at a place has a number among its names."""
    if place:
        key, *rest = place
        return {k: with_number(v, tuple(rest)) if k == key else v for k, v in node.items()}
    return {7: next(iter(node.values())), **node}


def opcodes(path: Path, content: bytes) -> Iterator[Callable[[Path], object]]:
    """One opcode of the pickle in torch's archive is another one, and the archive is whole."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in parts if name.endswith("/data.pkl"))
    chance, codes = random.Random(0), [code.code.encode("latin-1") for code in pickletools.opcodes]
    for _, _, at in list(pickletools.genops(parts[name])):
        assert at is not None
        pickled = parts[name][:at] + chance.choice(codes) + parts[name][at + 1 :]
        yield lambda path, pickled=pickled: rewritten(path, {**parts, name: pickled})  # type: ignore[misc]


def rewritten(path: Path, parts: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


def some(found: Sequence[Any], count: int) -> list[Any]:
    return random.Random(1).sample(found, min(count, len(found)))


def tries(formats: Sequence[str], heavy: int = FEW) -> pytest.MarkDecorator:
    """Formats with the number of tries: few, and many in the slow suite.

    Args:
        heavy: Few of Hugging Face's file, which holds five hundred tensors.
    """
    few = [(name, heavy if name == "huggingface" else FEW) for name in formats]
    many = [pytest.param(name, MANY, marks=pytest.mark.slow) for name in formats]
    return pytest.mark.parametrize(("format_name", "count"), [*(pair for pair in few if pair[1]), *many])


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that ask for the same networks get the same ones: composing takes far longer than all the rest."""
    read, build = compose.read, experiment.build
    kept: dict[str, Any] = {}

    def built(asked: tuple[Any, Any], with_data: bool) -> Any:
        if repr(asked) not in kept:
            kept[repr(asked)] = build(read(*asked), with_data=with_data)
        return kept[repr(asked)]

    monkeypatch.setattr(conversion.compose, "read", lambda *asked: asked)
    monkeypatch.setattr(conversion.experiment, "build", built)


@tries(FORMATS, heavy=2)
@pytest.mark.usefixtures("quickly")
def test_each_leaf_removed_retyped_or_reshaped_is_a_run_or_one_sentence(
    tmp_path: Path, format_name: str, count: int
) -> None:
    files = Files(format_name, tmp_path / "files")
    tried = some(changes(files), count)
    sentences = [files.becomes(path, lambda path, make=make: write(files, make(), path)) for path, make in tried]  # type: ignore[misc]
    assert sum(sentence is not None for sentence in sentences) > len(sentences) / 2


@tries(FORMATS)
@pytest.mark.usefixtures("quickly")
def test_a_file_that_is_cut_off_is_one_sentence(tmp_path: Path, format_name: str, count: int) -> None:
    files = Files(format_name, tmp_path / "files")
    for path, whole in files.whole.items():
        for at in range(0, len(whole), len(whole) // count + 1):
            sentence = files.becomes(path, lambda p, part=whole[:at]: p.write_bytes(part))  # type: ignore[misc]
            assert sentence is not None
            assert f"{path} holds no plain tensors" in sentence


@tries(PICKLED, heavy=0)
@pytest.mark.usefixtures("quickly")
def test_a_wrong_opcode_is_a_run_or_one_sentence(tmp_path: Path, format_name: str, count: int) -> None:
    files = Files(format_name, tmp_path / "files")
    tried = [(path, damage) for path, whole in files.whole.items() for damage in opcodes(path, whole)]
    sentences = [files.becomes(path, damage) for path, damage in some(tried, count)]
    assert sum(sentence is not None for sentence in sentences) > len(sentences) / 2
