"""Work that is repeated on a GPU without Python: captured once as a CUDA graph, then replayed.

Where PyTorch or the card refuses a capture, the work is run as it is, and said to be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from nas.devices.device import say_once


class Repeated:
    """A function of no arguments that reads and writes tensors that stay in place.

    On a GPU its first call runs it, its second captures it as a CUDA graph and replays that, and
    every later call replays. On a CPU every call runs it. The results are the same.
    """

    def __init__(self, function: Callable[[], None], device: torch.device) -> None:
        self._function, self._device = function, device
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm, self._plain = False, device.type != "cuda"

    def __call__(self) -> None:
        if self._plain:
            self._function()
        elif not self._warm:
            self._warm = True  # libraries initialise themselves, which a capture does not allow
            side = torch.cuda.Stream(self._device)
            side.wait_stream(torch.cuda.current_stream(self._device))
            with torch.cuda.stream(side):
                self._function()
            torch.cuda.current_stream(self._device).wait_stream(side)
        else:
            if self._graph is None and not self._captured():
                return self._function()
            assert self._graph is not None
            self._graph.replay()

    def _captured(self) -> bool:
        """Captures; nothing of it has run where that fails."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=torch.cuda.Stream(self._device)):
                self._function()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            say_once(f"no CUDA graph, steps are run one by one: {str(error).splitlines()[0]}")
            self._plain = True
            return False
        self._graph = graph
        return True


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
