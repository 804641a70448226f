"""A reader of pickles of networks that builds tensors and plain containers, and refuses all else.

StyleGAN2-ADA, StyleGAN3's repository and R3GAN save their networks as pickles, which name classes and may carry the
source of these. Nothing of it is imported or run: an object of a class that is known becomes a `Record` of what it
holds, a tensor is made of its bytes, and any other name, operation or size ends the reading.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganlab.core.errors import GanlabError
from ganlab.importers.records import Record

STORAGES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "BoolStorage": torch.bool, "ByteStorage": torch.uint8,
}  # fmt: skip
MODULES = re.compile(r"(training\.networks\w*|R3GAN\.\w+|torch\.nn\.modules\.\w+|torch_utils\.persistence|__main__)")
TENSORFLOW = re.compile(r"(dnnlib\.tflib|tfutil|tensorflow|theano|network)\b")
MAGIC = 0x1950A86A20F9469CFC6C  # of torch.save's older format, in which pickles keep the bytes of a tensor
PLAIN = (str, bytes, int, float, bool, type(None))


def read(content: bytes, source: str) -> Any:
    """Return what a pickle holds, with a `Record` for each network.

    Raises:
        GanlabError: If it holds anything else than networks of these codes, tensors and plain containers, in one
            sentence.
    """
    try:
        return Reader(content).load()
    except _TensorFlowError as error:
        raise GanlabError(
            f"{source} is a pickle with TensorFlow's objects: in the environment that it comes from, load it as its "
            f'code does and dump the arrays of each network, np.savez("Gs.npz", **tflib.run(Gs.vars)) (tfutil.run in '
            f"Progressive GAN), and so G.npz and D.npz, then import these."
        ) from error
    except Exception as error:  # whatever a torn or hostile file makes the machine of pickle raise
        first = (str(error).splitlines() or [""])[0][:120]
        raise GanlabError(
            f"{source} is no pickle of networks of StyleGAN2-ADA, StyleGAN3's repository or R3GAN that can be read "
            f"safely ({type(error).__name__}: {first}): if it is cut short, copy it again; if another code wrote it, "
            f"save the state_dict() of each network with torch.save there."
        ) from error


class _TensorFlowError(Exception):
    """The file names TensorFlow's objects."""


REFUSED = (
    pickle.INST, pickle.OBJ, pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.PERSID, pickle.NEWOBJ_EX,
    pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER,
)  # fmt: skip


_Unpickler: Any = pickle._Unpickler  # type: ignore[attr-defined]  # Python's own, whose operations are methods


class Reader(_Unpickler):  # type: ignore[misc]
    """Python's own unpickler, whose operations are those of a table: those that build plain values stay in it."""

    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Any]] = {
        code: load for code, load in _Unpickler.dispatch.items() if bytes([code]) not in REFUSED
    }

    def __init__(self, content: bytes, storages: bool = False) -> None:
        self.file = io.BytesIO(content)
        self.storages = storages  # read the bytes of a tensor, as torch.save wrote them
        super().__init__(self.file, encoding="latin1")

    def load(self) -> Any:
        try:
            return super().load()
        except KeyError as error:
            if isinstance(error.args[0], int):
                raise ValueError(f"operation {error.args[0]:#04x}") from error
            raise

    # --- names

    def find_class(self, module: str, name: str) -> Any:
        if self.storages:
            if module == "torch" and name in STORAGES:
                return NamedStorage(STORAGES[name])
            raise ValueError(f"it names {module}.{name}")
        if TENSORFLOW.match(module):
            raise _TensorFlowError(module)
        known = MAKERS.get((module.replace("numpy._core", "numpy.core"), name))
        if known is not None:
            return known
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return name
        if MODULES.fullmatch(module) and name.isidentifier() and hasattr(nn, name) | (not module.startswith("torch.")):
            return NamedClass(name)
        raise ValueError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        if self.storages and isinstance(pid, tuple) and len(pid) >= 5 and isinstance(pid[1], NamedStorage):
            return pid[1].dtype, pid[4]
        raise ValueError("it has a persistent id")

    # --- operations that would call something, or change what is there

    def load_reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack[-1]
        if not isinstance(function, Maker) or not isinstance(arguments, tuple):
            raise ValueError(f"it calls {type(function).__name__}")
        self.stack[-1] = function.make(*arguments)

    def load_newobj(self) -> None:
        arguments, made = self.stack.pop(), self.stack.pop()
        if not isinstance(made, NamedClass) or arguments:
            raise ValueError(f"it makes an object of {type(made).__name__}")
        self.append(made.new())

    def load_build(self) -> None:
        given, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Record) and isinstance(given, dict):
            target.content.update(_plain_keys(given))
        elif not isinstance(target, (_Dtype, _EasyDict, OrderedDict)):
            raise ValueError(f"it changes a {type(target).__name__}")

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _of_type(self.stack[-1], dict)[_plain(key)] = value

    def load_setitems(self) -> None:
        items = self.pop_mark()
        target = _of_type(self.stack[-1], dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_plain(key)] = value

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append({_plain(key): value for key, value in zip(items[::2], items[1::2], strict=True)})

    def load_append(self) -> None:
        value = self.stack.pop()
        _of_type(self.stack[-1], list).append(value)

    def load_appends(self) -> None:
        items = self.pop_mark()
        _of_type(self.stack[-1], list).extend(items)

    def load_additems(self) -> None:
        items = self.pop_mark()
        _of_type(self.stack[-1], set).update(map(_plain, items))

    def load_frozenset(self) -> None:
        self.append(frozenset(map(_plain, self.pop_mark())))

    for _code, _load in (
        (pickle.REDUCE, load_reduce), (pickle.NEWOBJ, load_newobj), (pickle.BUILD, load_build),
        (pickle.SETITEM, load_setitem), (pickle.SETITEMS, load_setitems), (pickle.DICT, load_dict),
        (pickle.APPEND, load_append), (pickle.APPENDS, load_appends), (pickle.ADDITEMS, load_additems),
        (pickle.FROZENSET, load_frozenset),
    ):  # fmt: skip
        dispatch[_code[0]] = _load


def _of_type(value: Any, wanted: type) -> Any:
    if not isinstance(value, wanted):
        raise ValueError(f"it fills a {type(value).__name__}")
    return value


def _plain(key: Any) -> Any:
    """A key, which is no container: hashing nested tuples may never end."""
    if not isinstance(key, PLAIN):
        raise ValueError(f"a key is a {type(key).__name__}")
    return key


def _plain_keys(given: dict[Any, Any]) -> dict[str, Any]:
    return {str(_plain(key)): value for key, value in given.items()}


# --- what the names of a pickle stand for


class Maker:
    """Takes the place of a function: ``make`` gets its arguments."""

    def __init__(self, make: Any) -> None:
        self.make = make


class NamedClass(Maker):
    """Takes the place of a class of modules."""

    def __init__(self, name: str) -> None:
        super().__init__(self.refuse)
        self.name = name

    def new(self) -> Record:
        record = Record()
        record.class_name = self.name
        return record

    def refuse(self, *arguments: Any) -> Any:
        raise ValueError(f"it calls {self.name}")


class _EasyDict(dict[str, Any]):
    """Takes the place of dnnlib's dictionary."""


class _Dtype:
    """Takes the place of numpy's: a kind and a size, such as ``f8``."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class NamedStorage:
    """Takes the place of a class of storages."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


def _persistent(meta: Any) -> Record:
    """A module of StyleGAN's, which carries its source: that is left out."""
    meta = _of_type(meta, dict)
    record = NamedClass(str(meta.get("class_name"))).new()
    record.content.update(_plain_keys(_of_type(meta.get("state"), dict)))
    return record


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor:
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in (offset, *size, *stride))
    if not isinstance(storage, Tensor) or not whole or len(size) != len(stride) or len(size) > 8:
        raise ValueError("a tensor of no possible shape")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if math.prod(size) > len(storage) or (math.prod(size) and last >= len(storage)):
        raise ValueError("a tensor larger than its bytes")
    return torch.as_strided(storage, size, stride, offset).clone()


def _parameter(data: Any, *rest: Any) -> Tensor:
    return _of_type(data, Tensor)


def _from_bytes(content: Any) -> Tensor:
    """The numbers of a storage that torch.save wrote in its older format."""
    reader = Reader(_of_type(content, bytes), storages=True)
    if reader.load() != MAGIC:
        raise ValueError("the bytes of a tensor are of no known format")
    position = reader.file.tell()
    parts = []
    for _ in range(4):  # version, machine, the storage, its key
        part = Reader(content[position:], storages=True)
        parts.append(part.load())
        position += part.file.tell()
    dtype, count = parts[2]
    body = content[position + 8 :]
    expected = count * torch.empty((), dtype=dtype).element_size()
    if struct.unpack("<q", content[position : position + 8])[0] != count or len(body) < expected:
        raise ValueError("the bytes of a tensor are cut off")
    if not count:
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(bytearray(body[:expected]), dtype=dtype)


def _scalar(dtype: Any, content: Any) -> float:
    codes = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "b1": "?"}
    data = content.encode("latin1") if isinstance(content, str) else content
    (number,) = struct.unpack("<" + codes[_of_type(dtype, _Dtype).kind], data)
    return number


def _ordered(*items: Any) -> OrderedDict[Any, Any]:
    return OrderedDict((_plain(key), value) for key, value in (items[0] if items else ()))


def _set(items: Any = ()) -> set[Any]:
    return {_plain(item) for item in _of_type(items, list)} if items else set()


def _reconstructed(made: Any, base: Any, state: Any) -> Record:
    return _of_type(made, NamedClass).new()


class _EasyDictClass(NamedClass):
    def new(self) -> Any:
        return _EasyDict()


MAKERS: dict[tuple[str, str], Any] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): Maker(_persistent),
    ("torch._utils", "_rebuild_tensor_v2"): Maker(_tensor),
    ("torch._utils", "_rebuild_parameter"): Maker(_parameter),
    ("torch.storage", "_load_from_bytes"): Maker(_from_bytes),
    ("torch", "Size"): Maker(lambda *sizes: tuple(sizes[0]) if sizes else ()),
    ("torch", "device"): Maker(lambda *place: "cpu"),
    ("numpy.core.multiarray", "scalar"): Maker(_scalar),
    ("numpy", "dtype"): Maker(lambda kind, *rest: _Dtype(kind)),
    ("collections", "OrderedDict"): Maker(_ordered),
    ("builtins", "set"): Maker(_set),
    ("__builtin__", "set"): Maker(_set),
    ("builtins", "object"): "object",
    ("__builtin__", "object"): "object",
    ("copyreg", "_reconstructor"): Maker(_reconstructed),
    ("copy_reg", "_reconstructor"): Maker(_reconstructed),
    ("_codecs", "encode"): Maker(lambda text, *rest: _of_type(text, str).encode("latin1")),
    ("dnnlib.util", "EasyDict"): _EasyDictClass("EasyDict"),
}
