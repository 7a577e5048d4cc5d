"""Latency of a network: a measurement, so it depends on what else the machine does."""

from __future__ import annotations

import logging

import torch
from torch import nn

from nas.architecture.parts import Shape
from nas.network.parameters import in_precision
from nas.proxy import Proxy


@torch.no_grad()
def latency(
    network: nn.Module,
    shape: Shape,
    batch: int,
    proxy: Proxy,
    device: torch.device,
    seconds: float = 0.1,
) -> float:
    """Median seconds of a forward pass in evaluation mode, with the proxy's precision.

    Args:
        shape: (C, H, W) of an image, or (T,) of a text.
        batch: images in a pass.
        seconds: time spent measuring, at least.
    """
    # Where there is a CUDA toolkit but no GPU, the import below says so, once a process.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    from torch.utils.benchmark import Timer

    network.eval()
    with in_precision(network, proxy) as dtype:
        images = torch.zeros(batch, *shape, dtype=dtype, device=device)
        text = len(shape) == 1
        images = images.long() if text else images.to(memory_format=torch.channels_last)
        timer = Timer(
            "network(images)",
            globals={"network": network, "images": images},
            num_threads=torch.get_num_threads(),
        )
        timer.timeit(3)  # the first passes choose algorithms
        return timer.blocked_autorange(min_run_time=seconds).median
