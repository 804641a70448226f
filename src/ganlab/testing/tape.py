"""A stand-in for CUDA graphs on a CPU: operations are recorded one by one, and replayed without Python.

As on a GPU nothing is carried out for good while a turn is recorded, and a replay has the numbers that Python had then:
a turn that reads a number of the host which changes differs from one that is played, and one that reads a value of the
device is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from ganlab.core.errors import sentence

READS = (
    "_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "_unique2", "unique_consecutive",
    "lift_fresh", "_linalg_svd", "_linalg_eigh", "linalg_eig", "_linalg_check_errors",
)  # fmt: skip
"""Operations that make the host wait for a GPU, or copy numbers of the host to it. Decompositions look if they have
converged."""
_EMPTY = ("empty", "new_empty")  # what is in their results is written by other operations


class Tape:
    """Records the work of turns on a CPU; see `ganlab.engine.recording.Graphs`.

    Attributes:
        recorded, replayed: How many recordings were made, and how often one was played.
        failures: Why turns could not be recorded.
    """

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.recorded, self.replayed = 0, 0
        self.failures: list[str] = []
        self._operations: Operations | None = None

    def generator(self) -> torch.Generator:
        return torch.Generator()

    def warming(self) -> Any:
        return nullcontext()

    @contextmanager
    def following(self, generator: torch.Generator) -> Iterator[None]:
        before = torch.get_rng_state()

        def begin() -> None:
            torch.set_rng_state(generator.get_state())

        def end() -> None:
            torch.set_rng_state(before)

        self._do(begin)
        try:
            yield
        finally:
            self._do(end)

    def record(self, call: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        self.recorded += 1
        states = [(generator, generator.get_state()) for generator in generators]
        operations = self._operations = Operations(generators)
        try:
            with operations, _one_hot_as_on_a_gpu():
                call()
        except Exception as error:
            self.failures.append(sentence(error))
            raise
        finally:
            self._operations = None
            operations.undo()
            for generator, state in states:
                generator.set_state(state)

        def replay() -> None:
            self.replayed += 1
            operations.replay()

        return replay

    def forget(self) -> None:
        """Do nothing: recordings go with those who hold them."""

    def _do(self, change: Callable[[], None]) -> None:
        change()
        if self._operations is not None:
            self._operations.steps.append(change)


class Operations(TorchDispatchMode):
    """The operations of a block, with the tensors that they read and write; those between processes are among them.

    Args:
        generators: The only ones that the block may draw from, beside torch's own.
    """

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.steps: list[Callable[[], None]] = []
        self._generators = set(map(_address, generators))
        self._before: dict[int, tuple[Tensor, Tensor]] = {}  # storages that were there, and what was in them
        self._made: set[int] = set()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = operation._schema.name.partition("::")[2]
        if operation.namespace == "profiler":
            return operation(*args, **kwargs)
        self._refuse(name, args, kwargs)
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        own = {_storage(t) for t in given}
        self._keep(_written(operation, args, kwargs))
        result = operation(*args, **kwargs)
        new = [t for t in tree_leaves(result) if isinstance(t, Tensor) and _storage(t) not in own]
        self._made.update(map(_storage, new))
        if operation.namespace == "c10d":
            self.steps.append(partial(_communicate, operation, *tree_map_only(Tensor, Tensor.detach, (args, kwargs))))
        elif (operation._schema.is_mutable or new) and not name.startswith(_EMPTY):
            self._add(operation, args, kwargs, result, own)
        elif new:
            self.steps.append(_Held(new))  # so that no other tensor gets their memory
        return result

    def replay(self) -> None:
        """Carry all operations out again, on the same tensors."""
        with torch.no_grad(), torch.autocast("cpu", enabled=False):  # casts are among the operations
            for step in self.steps:
                step()

    @torch.no_grad()
    def undo(self) -> None:
        """Give all tensors that there were before the block what was in them."""
        for tensor, before in self._before.values():
            tensor.copy_(before)
        self._before.clear()

    def _refuse(self, name: str, args: Any, kwargs: Any) -> None:
        if name in READS:
            raise RuntimeError(f"{name} makes the host wait for the device")
        if name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1]):
            raise RuntimeError("an index by a mask makes the host wait for the device")
        for generator in (g for g in tree_leaves((args, kwargs)) if isinstance(g, torch.Generator)):
            if _address(generator) not in self._generators:
                raise RuntimeError("it draws from a generator that was made while it was recorded")

    def _keep(self, written: list[Tensor]) -> None:
        """Keep what is in storages that are written for the first time."""
        for tensor in written:
            if _storage(tensor) not in self._made and _storage(tensor) not in self._before:
                whole = torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage())  # type: ignore[call-overload]
                self._before[_storage(tensor)] = whole, whole.clone()

    def _add(self, operation: Any, args: Any, kwargs: Any, result: Any, own: set[int]) -> None:
        args, kwargs = tree_map_only(Tensor, Tensor.detach, (args, kwargs))  # of the sizes that they have now
        places = [
            (i, t.detach())
            for i, t in enumerate(tree_leaves(result))
            if isinstance(t, Tensor) and _storage(t) not in own
        ]

        def step() -> None:
            found = tree_leaves(operation(*args, **kwargs))
            for place, tensor in places:
                tensor.copy_(found[place])

        self.steps.append(step)


class _Held:
    """Tensors that are kept alive; as a step of a replay it does nothing."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self.tensors = [t.detach() for t in tensors]

    def __call__(self) -> None:
        pass


@contextmanager
def _one_hot_as_on_a_gpu() -> Iterator[None]:
    """On a CPU it looks for labels that are too large; on a GPU it does not."""
    before = F.one_hot

    def one_hot(labels: Tensor, num_classes: int) -> Tensor:
        return labels.new_zeros(*labels.shape, num_classes).scatter_(-1, labels[..., None], 1)

    F.one_hot = one_hot  # type: ignore[assignment]
    try:
        yield
    finally:
        F.one_hot = before


def _written(operation: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """Return the tensors that an operation writes."""
    schema = operation._schema
    if operation.namespace == "c10d":  # the first argument, lists of tensors; its schema does not say it
        return [t for t in tree_leaves(args[0]) if isinstance(t, Tensor)]
    if schema.name == "aten::native_batch_norm":  # its schema does not say that it moves the averages
        return [t for t in args[3:5] if t is not None]
    found = []
    for position, argument in enumerate(schema.arguments if schema.is_mutable else ()):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[position] if position < len(args) else kwargs.get(argument.name)
            found += [t for t in tree_leaves(value) if isinstance(t, Tensor)]
    return found


def _communicate(operation: Any, args: Any, kwargs: Any) -> None:
    """Carry out an operation between processes, and wait for its end."""
    from torch.distributed import Work  # not in every build of torch

    Work.unbox(operation(*args, **kwargs)[-1]).wait()  # type: ignore[attr-defined]


def _address(generator: Any) -> int:
    """Return what tells generators apart: their objects of Python are made anew for each operation."""
    address: int = generator._cdata
    return address


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
