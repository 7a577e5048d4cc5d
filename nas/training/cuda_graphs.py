"""Work that is repeated on a GPU without Python: captured once as a CUDA graph, then replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch


class Repeated:
    """A function of no arguments that reads and writes tensors that stay in place.

    On a GPU its first call runs it, its second captures it as a CUDA graph and replays that, and
    every later call replays. On a CPU every call runs it. The results are the same.
    """

    def __init__(self, function: Callable[[], None], device: torch.device) -> None:
        self._function, self._device = function, device
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm = False

    def __call__(self) -> None:
        if self._device.type != "cuda":
            self._function()
        elif not self._warm:
            self._warm = True  # libraries initialise themselves, which a capture does not allow
            side = torch.cuda.Stream(self._device)
            side.wait_stream(torch.cuda.current_stream(self._device))
            with torch.cuda.stream(side):
                self._function()
            torch.cuda.current_stream(self._device).wait_stream(side)
        else:
            if self._graph is None:
                self._graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self._graph, stream=torch.cuda.Stream(self._device)):
                    self._function()
            self._graph.replay()


class Branches:
    """Runs functions side by side: on a GPU each on a stream of its own, forked and joined."""

    def __init__(self, count: int, device: torch.device) -> None:
        self._device = device
        several = count if device.type == "cuda" and count > 1 else 0
        self._streams = [torch.cuda.Stream(device) for _ in range(several)]

    def run(self, functions: Sequence[Callable[[], None]]) -> None:
        """Returns when all are enqueued; what is enqueued afterwards waits for all of them."""
        if not self._streams:
            for function in functions:
                function()
            return
        trunk = torch.cuda.current_stream(self._device)
        for stream, function in zip(self._streams, functions, strict=False):
            stream.wait_stream(trunk)
            with torch.cuda.stream(stream):
                function()
        for stream, _ in zip(self._streams, functions, strict=False):
            trunk.wait_stream(stream)
