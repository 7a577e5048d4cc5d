"""A training of the user's own: a function of one candidate that returns its score, or scores by name.

from nas import Training, returns

@returns(f1="max")
def train(run: Training):
    images, labels = run.tensors("train")
    ...
    run.report(epoch, f1)
    return f1
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.devices.memory import PeakMemory, out_of_memory
from nas.errors import InputError, brief, called, own_name, unknown
from nas.evaluation.own_file import OwnTraining
from nas.evaluation.own_scores import Scores
from nas.evaluation.result import Evaluation, failed
from nas.proxy import Proxy

if TYPE_CHECKING:
    import torch

    from nas.architecture.skeletons.skeleton import AnySkeleton
    from nas.data.dataset import Data
    from nas.network.network import Network


class Pruned(BaseException):
    """Ends a training whose candidate is pruned; no `except Exception` of a user's stops it."""


class Training:
    """One training of a candidate: what a function of the user's own gets, and what it reports to."""

    def __init__(
        self,
        network: Network,
        data: Data,
        proxy: Proxy,
        seed: int,
        device: torch.device,
        part: str = "validation",
        on_epoch: Callable[[int, Any], None] = lambda epoch, score: None,
    ) -> None:
        self.network = network
        """On the device, with the weights that follow from the seed: images (N, C, H, W) -> logits."""
        self.data = data
        """Images as bytes, labels, and the indices of their three parts."""
        self.proxy = proxy
        """Epochs, batch, learning rate and more, as the space has them; the learning rate is the
        candidate's own where it has one."""
        self.seed = seed
        """PyTorch's, NumPy's and Python's generators are seeded with it."""
        self.device = device
        self.heeds_part = False
        """Whether the function has asked for the part that it is to be scored on."""
        self._part, self._on_epoch = part, on_epoch

    @property
    def genome(self) -> Genome:
        return self.network.genome

    @property
    def epochs(self) -> int:
        return self.proxy.epochs

    @property
    def part(self) -> str:
        """The part of the data to score on: `validation`, and in the test of the finalists `test`."""
        self.heeds_part = True
        return self._part

    def tensors(self, part: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Standardised images (N, C, H, W) and labels (N,) of a part, on the device.

        Args:
            part: "train", or `run.part`.

        Raises:
            InputError: another part; the test images are for the test alone.
        """
        import torch

        from nas.training.batches import prepare

        allowed = ("train", self._part)
        if part not in allowed:
            raise unknown("part", part, allowed, place="run.tensors")
        subset = prepare(self.data, self.proxy, part, self.device)
        return subset.batch(torch.arange(len(subset.labels), device=subset.labels.device))

    def report(self, epoch: int, score: Any) -> None:
        """Tells the score after an epoch (from 1), by which weak candidates are pruned.

        Where this one is, the function ends here, and the score is that of its training.
        """
        self._on_epoch(epoch, score)


def evaluate_own(
    own: OwnTraining,
    genome: Genome,
    skeleton: AnySkeleton,
    proxy: Proxy,
    seed: int,
    data: Data,
    device: str,
    *,
    part: str = "validation",
    fast: bool = False,
    latencies: bool = False,
    on_epoch: Callable[[int, float], bool | None] = lambda epoch, score: None,
) -> Evaluation:
    """What a function of the user's own makes of a genome; the arguments are those of `evaluate`.

    Raises:
        InputError: the function raised, or returned something else than its scores.
    """
    from nas.devices.device import find_device, on_device, one_thread, reproducible
    from nas.evaluation.latency import latency
    from nas.network.compile import compile_network
    from nas.training.precision import resolved

    where = find_device(device)
    proxy = resolved(proxy, skeleton, where).at(genome.learning_rate)
    function, curve = own.load(), list[float]()
    wanted, name = Scores(own.scores), f"--evaluate ({own_name(function)})"

    def told(epoch: int, score: Any) -> None:
        if epoch != len(curve) + 1:
            raise InputError(f"{name} reported epoch {brief(epoch)}; {len(curve) + 1} is expected")
        curve.append(wanted.one(score, f"{name} reported for epoch {epoch}"))
        if on_epoch(epoch, curve[-1]):
            raise Pruned

    started, peak, status, why = time.perf_counter(), PeakMemory(where), "ok", ""
    single = full = None
    with (
        on_device(where), one_thread(where), reproducible(where, not fast), _seeded(seed),
        contextlib.redirect_stdout(sys.stderr), out_of_memory() as problem,
    ):  # fmt: skip
        network = compile_network(genome, skeleton, seed).to(where)
        training = Training(network, data, proxy, seed, where, part, told)
        try:
            scores = wanted.all(called("--evaluate", function, training), f"{name} returned")
        except Pruned:
            scores = {wanted.first: curve[-1]}
            status, why = "pruned", f"after epoch {len(curve)} of {proxy.epochs}"
        if latencies:
            shape = skeleton.input_shape
            single, full = (latency(network, shape, n, proxy, where) for n in (1, proxy.batch))
    if problem:
        return failed(genome, skeleton, seed, problem[0], "out of memory")
    planned, sign = plan(genome, skeleton), wanted.sign
    return Evaluation(
        genome, seed, status, why, sign * scores[wanted.first],
        tuple(sign * score for score in curve) or (sign * scores[wanted.first],), (), (),
        planned.params, planned.macs, time.perf_counter() - started, peak.read(), single, full,
        scores=scores, heeds_part=training.heeds_part,
    )  # fmt: skip


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """All generators that a user's function may draw from, which are as before after it."""
    import random

    import numpy as np
    import torch

    before = random.getstate(), np.random.get_state()
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
