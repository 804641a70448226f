"""CUDA graphs: recordings of the work of a turn on a GPU."""

from __future__ import annotations

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
        pool = self._graphs[0].pool() if self._graphs else None
        # thread_local: other threads copy batches to the device meanwhile
        with torch.cuda.graph(graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"):
            call()
        self._graphs.append(graph)
        return graph.replay

    @property
    def count(self) -> int:
        """The number of recordings that can be played."""
        return len(self._graphs)

    def forget(self) -> None:
        for graph in self._graphs:
            graph.reset()
        self._graphs.clear()
        torch.cuda.empty_cache()
