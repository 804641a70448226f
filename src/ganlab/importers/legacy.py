"""Files of whole models in torch.save's older format: a pickle that names classes, and the numbers of tensors after it.

torch reads no such file safely, since it also carries the source of the classes. Here it is read as `pickles` reads:
classes become records, the source is left out, and any other name ends the reading.
"""

from __future__ import annotations

import struct
from typing import Any

import torch
from torch import Tensor

from ganlab.importers.pickles import MAGIC, MAKERS, STORAGES, Maker, NamedClass, NamedStorage, Reader

NAMES = ("networks",)  # modules whose classes become records, beside those that pickles know
IGNORED = ("torch.nn.backends.thnn", "_get_thnn_function_backend")  # an object that each module had


def read(content: bytes) -> Any:
    """Return what a file holds, with a `Record` for each module.

    Raises:
        ValueError: If it holds anything else than modules, tensors and plain values, or is cut off; or whatever a
            hostile file makes the machine of pickle raise.
    """
    position, head = 0, []
    for _ in range(3):  # the magic number, the version, the machine
        found, position = _part(content, position, {})
        head.append(found)
    if head[0] != MAGIC:
        raise ValueError("it does not begin with torch's number")
    needed: dict[str, tuple[torch.dtype, int]] = {}
    _, end = _part(content, position, needed)  # once to see where the numbers begin, and which there are
    keys, end = _part(content, end, {})
    storages: dict[str, Tensor] = {}
    for key in keys if isinstance(keys, list) else []:
        dtype, count = needed[key]
        size = count * torch.empty((), dtype=dtype).element_size()
        (stored,) = struct.unpack("<q", content[end : end + 8])
        body = content[end + 8 : end + 8 + size]
        if stored != count or len(body) != size:
            raise ValueError("the numbers of a tensor are cut off")
        storages[key] = torch.frombuffer(bytearray(body), dtype=dtype) if count else torch.empty(0, dtype=dtype)
        end += 8 + size
    return _part(content, position, needed, storages)[0]


def _part(content: bytes, position: int, needed: dict[str, Any], storages: Any = None) -> tuple[Any, int]:
    """Read one pickle of a file; what it holds, and where the next one begins."""
    reader = _Whole(content[position:], needed, storages)
    return reader.load(), position + reader.file.tell()


class _Whole(Reader):
    """Reads the pickle of a model whose numbers come after it.

    Args:
        needed: Gets the type and length of each storage, by key.
        storages: The storages by key; None: they are not read yet, and tensors are empty.
    """

    def __init__(self, content: bytes, needed: dict[str, Any], storages: dict[str, Tensor] | None) -> None:
        super().__init__(content)
        self.needed, self.numbers, self.bytes = needed, storages, len(content)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == IGNORED:
            return Maker(lambda: None)
        if module == "torch" and name in STORAGES:
            return NamedStorage(STORAGES[name])
        if module in NAMES and name.isidentifier():
            return NamedClass(name)
        if self.numbers is None and MAKERS.get((module, name)) is MAKERS["torch._utils", "_rebuild_tensor_v2"]:
            return Maker(lambda *rest: torch.empty(0))
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        kind, *rest = pid if isinstance(pid, tuple) and len(pid) >= 2 else ("",)
        if kind == "module" and isinstance(rest[0], NamedClass):
            return rest[0]
        if kind != "storage" or len(rest) < 4 or not isinstance(rest[0], NamedStorage) or rest[4:] not in ([], [None]):
            raise ValueError("it has a persistent id that is no storage")
        storage, key, count = rest[0], rest[1], rest[3]
        if not isinstance(key, str) or not isinstance(count, int) or not 0 <= count <= self.bytes:
            raise ValueError("a storage is larger than the file")
        self.needed[key] = (storage.dtype, count)
        return torch.empty(0) if self.numbers is None else self.numbers[key]
