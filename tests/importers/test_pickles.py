"""Pickles of networks are read without running anything in them; what is no network is refused in one sentence."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from native import fill, inputs, read, thinned

from ganlab import cli
from ganlab.core.errors import GanlabError
from ganlab.importers import conversion, legacy, pickles, reading
from ganlab.runs.run import Run

PROTO = b"\x80\x04"
NAMES = [
    "os.system", "posix.system", "nt.system", "subprocess.Popen", "subprocess.check_output", "builtins.eval",
    "builtins.exec", "builtins.compile", "builtins.open", "builtins.getattr", "builtins.__import__", "builtins.print",
    "__builtin__.eval", "importlib.import_module", "runpy.run_path", "shutil.rmtree", "pathlib.Path", "pickle.loads",
    "_pickle.loads", "marshal.loads", "types.FunctionType", "types.CodeType", "functools.partial",
    "operator.attrgetter", "operator.methodcaller", "ctypes.CDLL", "webbrowser.open", "socket.socket", "torch.load",
    "torch.hub.load", "torch.jit.load", "torch.classes.load_library", "torch.serialization.load",
    "torch.utils.cpp_extension.load",
    "numpy.load", "numpy.core.multiarray._reconstruct", "numpy.testing._private.utils.runstring", "yaml.load",
    "torch.nn.functional.relu", "torch.nn.modules.module._load", "training.loss.StyleGAN2Loss", "codecs.decode",
    "copyreg.__newobj__", "torch.storage.UntypedStorage", "torch.FloatStorage", "asyncio.run", "site.main",
]  # fmt: skip


def called(name: str, argument: str, stack: bool) -> bytes:
    """A pickle that calls a function by its name."""
    module, _, last = name.rpartition(".")
    if stack:
        found = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, last)) + b"\x93"
    else:
        found = f"c{module}\n{last}\n".encode()
    return PROTO + found + b"\x8c" + bytes([len(argument)]) + argument.encode() + b"\x85R."


def saved(numbers: torch.Tensor) -> bytes:
    """The bytes of a storage, as pickles of tensors have them."""
    file = io.BytesIO()
    torch.save(numbers._typed_storage(), file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def rebuilt(storage: bytes, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """A pickle of a tensor, whatever its shape."""
    loaded = b"ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(storage)) + storage + b"\x85R"
    parts: tuple[Any, ...] = (offset, size, stride, False, OrderedDict())
    rest = b"".join(pickle.dumps(part, 2)[2:-1] for part in parts)
    return PROTO + b"ctorch._utils\n_rebuild_tensor_v2\n(" + loaded + rest + b"tR."


class Evil:
    """Touches a file when it is loaded by Python's own pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def hostile(target: Path) -> Iterator[tuple[str, bytes]]:
    """Names of files, and their content."""
    for name in NAMES:
        yield f"{name} by GLOBAL", called(name, str(target)[-200:], False)
        yield f"{name} by STACK_GLOBAL", called(name, str(target)[-200:], True)
    for code in range(256):
        yield f"operation {code}", PROTO + bytes([code]) + b"\xff" * 8 + b"\n1\n."
    evil = Evil(target)
    for name, content in {
        "in a list": [evil],
        "as a value": {"G": evil},
        "in a state": OrderedDict(G_ema=(evil,)),
    }.items():
        for protocol in range(5):
            yield f"{name}, protocol {protocol}", pickle.dumps(content, protocol)
    inner = pickle.dumps(evil)
    yield "inside a storage", PROTO + b"ctorch.storage\n_load_from_bytes\nC" + bytes([len(inner)]) + inner + b"\x85R."
    for name, content in {
        "BINBYTES8": b"\x8e" + struct.pack("<Q", 2**60), "BINUNICODE8": b"\x8d" + struct.pack("<Q", 2**60),
        "LONG4": b"\x8b" + struct.pack("<i", 2**31 - 1), "FRAME": b"\x95" + struct.pack("<Q", 2**60),
        "BYTEARRAY8": b"\x96" + struct.pack("<Q", 2**40), "LONG_BINPUT": b"Nr\xff\xff\xff\xff", "BINPUT": b"Nq\xff0",
    }.items():  # fmt: skip
        yield f"size of {name}", PROTO + content
    numbers = saved(torch.zeros(4))
    for offset, size, stride in ((0, (2**40,), (0,)), (0, (2**20, 2**20), (0, 0)), (3, (2,), (1,)), (-1, (1,), (1,))):
        yield f"tensor of {size} at {offset}", rebuilt(numbers, offset, size, stride)
    count = struct.pack("<q", 4)
    yield "storage cut off", rebuilt(numbers[:-4], 0, (4,), (1,))
    yield "storage with another count", rebuilt(numbers.replace(count, struct.pack("<q", 2**50)), 0, (4,), (1,))
    deep: Any = ()
    for _ in range(60):
        deep = (deep, deep)
    key = pickle.dumps(deep)[:-1]
    yield "a key that takes for ever to hash", PROTO + b"}" + key.partition(b"\x95")[2][8:] + b"Ns."
    yield "a persistent id", PROTO + b"Vx\nP."
    yield "a state for a function", PROTO + b"ctorch._utils\n_rebuild_parameter\n}Vmake\nNsb."
    yield "entries for a function", PROTO + b"ctorch._utils\n_rebuild_parameter\nVmake\nNs."
    yield "cut short", pickle.dumps({"G": [1, 2, 3]})[:-9]


def test_hostile_pickles_run_nothing_and_are_one_sentence(tmp_path: Path) -> None:
    target, count = tmp_path / "touched", 0
    for name, content in hostile(target):
        try:
            made = pickles.read(content, "x.pkl")
        except GanlabError as refused:
            assert "\n" not in str(refused), name
            assert str(refused).startswith("x.pkl is "), name
            count += 1
        else:  # an operation that builds a plain value
            assert name.startswith("operation"), name
            assert isinstance(made, int | float | str | bytes | tuple | list | dict | set | frozenset | type(None)), (
                name
            )
        assert not target.exists(), name
    assert count > 300


def test_the_bytes_of_a_tensor_are_read() -> None:
    """Of every kind that networks have, with a stride, an offset, and no numbers at all."""
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool):
        value = torch.arange(12).reshape(3, 4).to(dtype)
        for each in (value, value.t(), value[1:, 2:], value[:0]):
            found = pickles.read(pickle.dumps({"x": each, "p": torch.nn.Parameter(each, requires_grad=False)}), "x")
            assert torch.equal(found["x"], each)
            assert torch.equal(found["p"], each)
            assert found["x"].dtype is dtype


def test_a_pickle_of_tensorflow_gets_the_advice_for_it() -> None:
    for module in ("dnnlib.tflib.network", "tfutil", "network"):
        with pytest.raises(GanlabError, match=r"TensorFlow's objects: .*np.savez\("):
            pickles.read(called(f"{module}.Network", "x", False), "x.pkl")


# --- pickles as the codes write them


class Persistent:
    """A module as StyleGAN's code pickles it: its source, its class, and what it holds."""

    rebuild: Callable[..., Any]

    def __init__(self, class_name: str, **held: Any) -> None:
        self.class_name, self.held = class_name, held

    def __reduce__(self) -> tuple[Any, ...]:
        source = "raise SystemExit('the source of a pickle was run')"
        meta = {"type": "class", "version": 6, "module_src": source, "class_name": self.class_name, "state": self.held}
        return Persistent.rebuild, (meta,)


@pytest.fixture
def persistence(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("torch_utils.persistence")

    def _reconstruct_persistent_obj(meta: Any) -> None:
        raise AssertionError

    _reconstruct_persistent_obj.__module__ = module.__name__
    _reconstruct_persistent_obj.__qualname__ = _reconstruct_persistent_obj.__name__
    module._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch_utils", types.ModuleType("torch_utils"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    Persistent.rebuild = staticmethod(_reconstruct_persistent_obj)


def nested(state: dict[str, torch.Tensor], **more: dict[str, Any]) -> Persistent:
    """A module that holds these tensors, and others inside it; ``more`` by the path of a module."""
    own = {name: value for name, value in state.items() if "." not in name}
    inner: dict[str, dict[str, torch.Tensor]] = {}
    for name in state.keys() - own.keys():
        first, _, rest = name.partition(".")
        inner.setdefault(first, {})[rest] = state[name]
    below = {n: nested(s, **{p.partition(".")[2]: v for p, v in more.items() if p.partition(".")[0] == n})
             for n, s in inner.items()}  # fmt: skip
    buffers = {n: own.pop(n) for n in list(own) if n.endswith(("resample_filter", "noise_const", "w_avg"))}
    return Persistent("Module", _parameters=OrderedDict(own), _buffers=buffers, _modules=OrderedDict(below),
                      training=False, _non_persistent_buffers_set=set(), **more.get("", {}))  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.usefixtures("persistence")
def test_a_training_pickle_becomes_a_run_with_what_tensors_do_not_say(protocol: int, tmp_path: Path) -> None:
    case = "stylegan2_skip"
    about = read(case)
    parts = {name: fill(f"{case}/{file}", about["files"][file]) for name, file in (("G", "G.pth"), ("D", "D.pth"))}
    average = {name: value if "filter" in name else 1.1 * value for name, value in parts["G"].items()}
    clamp: dict[str, Any] = {"conv_clamp": 256, "activation": "lrelu"}
    content: dict[str, Any] = {
        "G": nested(parts["G"], **{"synthesis.b8.conv0": clamp}),
        "D": nested(parts["D"], **{"b4.mbstd": {"group_size": 3}, "b4.conv": clamp}),
        "G_ema": nested(average), "augment_pipe": None, "training_set_kwargs": {"path": "x"},
    }  # fmt: skip
    content["D"].held["_modules"]["b4"].held["_modules"]["mbstd"] = Persistent("Std", group_size=3)
    path = tmp_path / "network-snapshot-000200.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    words = [f"out={tmp_path / 'run'}", "generator.style_mixing=0"]
    assert cli.dispatch(["import", str(path), *words]) == 0
    run = Run(tmp_path / "run")
    assert (run.config["generator"].options["clamp"], run.config["discriminator"].options["clamp"]) == (256.0, 256.0)
    assert run.config["discriminator"].options["stddev_group"] == 3
    z, expected = inputs(case, about["latent_dim"], about["size"], 0)[0], about["G.pth/eval"]
    for generator, equal in ((run.module.game.get_submodule("generator").eval(), True), (run.generator, False)):
        with torch.no_grad():
            found = thinned(generator(z, noise="fixed"))
        assert bool((found - expected).norm() < 1e-5 * expected.norm()) == equal


@pytest.mark.usefixtures("persistence")
def test_a_pickle_of_stylegan3_is_named(tmp_path: Path) -> None:
    path = tmp_path / "stylegan3.pkl"
    path.write_bytes(pickle.dumps({"G_ema": nested({"synthesis.input.freqs": torch.zeros(2)})}))
    with pytest.raises(GanlabError, match="It is a pickle of StyleGAN3, whose networks ganlab does not have"):
        conversion.make_run(str(path), None, str(tmp_path / "run"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        GanlabError, match=r"is no pickle of networks .*: if it is cut short, copy it again; if another"
    ):
        conversion.make_run(str(path), None, str(tmp_path / "run"))


def test_hostile_models_in_torchs_older_format_run_nothing_and_are_one_sentence(tmp_path: Path) -> None:
    """Each of the above behind the three pickles with which such a file begins."""
    target, path, count = tmp_path / "touched", tmp_path / "model.pth", 0
    head = b"".join(pickle.dumps(part, 2) for part in (pickles.MAGIC, 1001, {"little_endian": True}))
    storage = b"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI%d\nNtQ"
    more = [
        ("a huge storage", PROTO + storage % 2**40 + b".", "larger than the file"),
        ("numbers cut off", PROTO + storage % 4 + b"." + pickle.dumps(["0"], 2) + struct.pack("<q", 4), "cut off"),
        ("an unknown key", PROTO + b"N." + pickle.dumps(["0"], 2) + struct.pack("<q", 4), "'0'"),
        ("a class by its id", PROTO + b"(Vmodule\nVposix\nVa\nVb\ntQ.", "persistent id"),
    ]
    for name, content, said in [*((n, c, "") for n, c in hostile(target)), *more]:
        with pytest.raises(Exception) as caught:
            legacy.read(head + content)
        assert said in str(caught.value), name
        path.write_bytes(head + content)
        with pytest.raises(GanlabError, match="no plain tensors that torch can read safely") as refused:
            reading.read(path)
        assert "\n" not in str(refused.value), name
        assert not target.exists(), name
        count += 1
    assert count > 300
