"""CUDA graphs: recordings of the work of a turn on a GPU.

What a recording needs of the plays before it: libraries have their handles, workspaces and fastest kernels (cuBLAS,
cuDNN with its benchmark), optimizers their state, NCCL its connections, torch.compile its code, and autograd's
accumulators belong to the stream that records. Lightning's mixed precision keeps no casts between passes.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch


class CudaGraphs:
    """Records work as CUDA graphs, which share one pool of memory; see `ganlab.engine.recording.Graphs`.

    Args:
        device: The GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        # one for plays before a recording and for all recordings: what autograd keeps remembers its stream
        self._stream = torch.cuda.Stream(device)
        self._graphs: list[torch.cuda.CUDAGraph] = []
        # a process group is left at exit, and NCCL waits there for all graphs that hold its operations
        atexit.register(_forget, weakref.ref(self))

    def generator(self) -> torch.Generator:
        return torch.Generator(self.device)

    @contextmanager
    def warming(self) -> Iterator[None]:
        current = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            yield
        current.wait_stream(self._stream)

    @contextmanager
    def following(self, generator: torch.Generator) -> Iterator[None]:
        # set_state would copy the state on the host, which a recording refuses
        default = torch.cuda.default_generators[self.device.index or 0]
        before = default.graphsafe_get_state()
        default.graphsafe_set_state(generator)
        try:
            yield
        finally:
            default.graphsafe_set_state(before)

    def record(self, call: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        errors: list[Exception] = []
        try:
            # torch's own generator has another state meanwhile: before torch 2.13 a recording that breaks leaves one
            # that refuses to draw
            with self.following(self.generator()), self._capture(graph):
                try:
                    call()
                except Exception as error:
                    errors.append(error)
                    raise
        except Exception as error:
            graph.reset()
            # the first error: the end of a broken recording is one of its own; its frames hold memory
            raise (errors or [error])[0].with_traceback(None) from None
        self._graphs.append(graph)
        return graph.replay

    @contextmanager
    def _capture(self, graph: torch.cuda.CUDAGraph) -> Iterator[None]:
        pool = self._graphs[0].pool() if self._graphs else None
        cached = torch.is_autocast_cache_enabled()
        torch.set_autocast_cache_enabled(False)  # casts of weights would stay those of one play
        try:
            # the outer stream: torch.cuda.graph does not go back to the one before where a recording is broken;
            # thread_local: other threads copy batches to the device, and NCCL's watches its operations
            with (
                torch.cuda.stream(self._stream),
                torch.cuda.graph(graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"),
            ):
                yield
        finally:
            torch.set_autocast_cache_enabled(cached)

    @property
    def count(self) -> int:
        """The number of recordings that can be played."""
        return len(self._graphs)

    def forget(self) -> None:
        if self._graphs:
            torch.cuda.synchronize(self.device)  # the last replay may go on
        for graph in self._graphs:
            graph.reset()
        self._graphs.clear()
        torch.cuda.empty_cache()


def _forget(graphs: weakref.ref[CudaGraphs]) -> None:
    left = graphs()
    if left is not None and left.count:
        left.forget()
