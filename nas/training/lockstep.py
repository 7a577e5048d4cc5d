"""Training of networks in lockstep: they share every batch, and each is trained as if alone.

Whatever changes what a training computes raises `TRAINER_VERSION`, which studies record.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from nas.data.dataset import Data
from nas.devices.device import with_float64
from nas.kernels.program import Program, compiled
from nas.network.modules import draws
from nas.network.network import CompiledLayer, Network
from nas.network.parameters import DTYPES, Flat, flatten
from nas.proxy import Proxy
from nas.tasks.classification import Classification
from nas.training.batches import Feed, Subset, prepare
from nas.training.cuda_graphs import Branches, Repeated
from nas.training.curves import Curves, TrainingProgress
from nas.training.optimizer import clip, learning_rate, update
from nas.training.random_state import seeded
from nas.training.scoring import recalibrate, result, score, typed

OnEpoch = Callable[[int, float], bool | None]
"""Called with (epoch from 1, accuracy) whenever a score is there; True ends the training."""


@dataclass(eq=False)
class Trainee:
    """One network among those that are trained together."""

    network: Network
    on_epoch: OnEpoch | None = None
    on_step: Callable[[int, Tensor], None] | None = None
    """Called with (step from 0, loss) when its gradients are there (`.grad`), before the update."""
    start: TrainingProgress | None = None
    """Where an earlier training stood; the network has the tensors that it had then."""
    on_progress: Callable[[TrainingProgress], None] | None = None
    """Called with what `start` takes whenever a score is there, before `on_epoch`."""
    curves: Curves = field(default_factory=Curves)
    test: tuple[float, float] | None = None
    """Score, of which larger is better, and mean loss of the test part, where they were asked for."""


def train(
    network: Network,
    data: Data,
    proxy: Proxy,
    seed: int,
    device: torch.device,
    on_epoch: OnEpoch | None = None,
    on_step: Callable[[int, Tensor], None] | None = None,
    start: TrainingProgress | None = None,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    tick: Callable[[int], None] | None = None,
) -> Curves:
    """Trains one network in place and scores it on validation images: `train_together` of one."""
    trainee = Trainee(network, on_epoch, on_step, start, on_progress)
    train_together([trainee], data, proxy, seed, device, tick=tick)
    return trainee.curves


def train_together(
    trainees: Sequence[Trainee],
    data: Data,
    proxy: Proxy,
    seed: int,
    device: torch.device,
    part: str = "validation",
    every_epoch: bool = True,
    tick: Callable[[int], None] | None = None,
    graphs: bool = False,
    also_test: bool = False,
) -> None:
    """Trains networks in place, in lockstep, and scores them on a part of the data.

    Every network ends with the weights, curves and scores that it has when it is trained alone.

    Args:
        trainees: of equal progress; their curves are filled in.
        proxy: with its precision resolved.
        seed: fixes the order of batches and the augmentation, the same for every network.
        part: "validation" or "test".
        every_epoch: score after each epoch; False scores once, after the last.
        tick: called with the number of steps done after every step.
        graphs: on a GPU, make a step of all networks one CUDA graph with a branch for each.
        also_test: score the test part as well, once, after the last epoch; nothing else changes by it.
    """
    feed = Feed(prepare(data, proxy, "train", device), proxy, seed, device)
    scoring = prepare(data, proxy, part, device)
    active = [_Trained(trainee, feed, scoring, proxy, device) for trainee in trainees]
    everyone = list(active)
    try:
        first = len(trainees[0].curves.losses)
        pack = _Lockstep(active, feed, proxy, device, graphs)
        for epoch in range(first, proxy.epochs):
            pack.train_epoch(epoch, tick)
            scored = every_epoch or epoch == proxy.epochs - 1
            for course in active:
                course.end_epoch(epoch, feed.steps)
            active = [course for course in active if not course.trainee.curves.diverged]
            if scored and active:
                pack.score(active)
                active = [course for course in active if not course.scored()]
            if also_test and epoch == proxy.epochs - 1:
                for course in active:
                    course.test(prepare(data, proxy, "test", device))
            if not active:
                return
            if len(active) < len(pack.courses):
                pack = _Lockstep(active, feed, proxy, device, graphs)
    finally:
        for course in everyone:
            course.release()


class _Trained:
    """One network's training: its buffers, and what is read from them at the end of an epoch."""

    def __init__(
        self, trainee: Trainee, feed: Feed, scoring: Subset, proxy: Proxy, device: torch.device
    ) -> None:
        self.trainee, self.network, self.feed = trainee, trainee.network, feed
        self.scoring, self.proxy = scoring, proxy
        self.dtype = DTYPES[proxy.precision]
        watched = _watched(self.network)
        self.flats = flatten(self.network, proxy)
        self.task = feed.part.task
        self.program = (
            compiled(
                self.network, self.flats, proxy, feed.images.shape, len(feed.part.labels), device
            )
            if isinstance(self.task, Classification)
            else None
        )
        self.parameters = [p for flat in self.flats for p in flat.parameters]
        self.total = torch.zeros((), device=device)
        self.sums: Tensor | None = None
        """What the score is computed from; it stays in place from the first score on."""
        self.missed = with_float64(torch.zeros((), device=device)).double()
        self.loss = torch.zeros((), device=device)
        self.draws, self.step = draws(self.network), 0
        self._watched = [self._gradients_of(parameters) for parameters in watched]
        if trainee.start:
            trainee.curves = deepcopy(trainee.start.curves)
            for flat in self.flats:
                flat.steps.fill_(len(trainee.curves.losses) * feed.steps)
                moments = [
                    (flat.momentum, trainee.start.momentum),
                    (flat.variance, trainee.start.variance),
                ]
                for buffer, kept in moments:
                    if kept:
                        for name, view in zip(flat.names, flat.views(buffer), strict=True):
                            view.copy_(kept[name])

    def _gradients_of(self, parameters: list[nn.Parameter]) -> list[Tensor]:
        wanted = {id(p) for p in parameters}
        return [
            view
            for flat in self.flats
            for p, view in zip(flat.parameters, flat.views(flat.gradient), strict=True)
            if id(p) in wanted
        ]

    def gradients(self) -> None:
        """The loss of the batch that is loaded, and its gradients."""
        if self.program:
            self.loss.copy_(self._computed(self.program))
        else:
            with self._drawn():
                self.loss.copy_(self._differentiated())
        self.total.add_(self.loss)
        if self.proxy.clip:
            clip(self.flats, self.proxy.clip)

    def _drawn(self) -> AbstractContextManager[None]:
        """Lets a network that draws random numbers (dropout) draw those of this step."""
        if not self.draws:
            return nullcontext()
        return seeded((self.feed.seed << 32) + self.step, self.loss.device)

    def _computed(self, program: Program) -> Tensor:
        loss = program.gradients(self.feed.images, self.feed.targets, self.proxy.label_smoothing)
        if self.trainee.on_step:
            for flat in self.flats:
                for p, view in zip(flat.parameters, flat.views(flat.gradient), strict=True):
                    p.grad = view.to(p.dtype, copy=True)
        return loss

    def _differentiated(self) -> Tensor:
        outputs = self.network(typed(self.feed.images, self.dtype))
        loss = self.task.loss(outputs, self.feed.targets, self.proxy.label_smoothing)
        found = torch.autograd.grad(loss, self.parameters, materialize_grads=True)
        position = 0
        for flat in self.flats:
            flat.take(found[position : position + len(flat.parameters)])
            position += len(flat.parameters)
        if self.trainee.on_step:
            for parameter, gradient in zip(self.parameters, found, strict=True):
                parameter.grad = gradient
        return loss.detach()

    def score(self) -> None:
        with self._drawn():
            recalibrate(self.network, self.feed.part, self.proxy, self.program)
            sums, missed = score(self.network, self.scoring, self.proxy, self.program)
        if self.sums is None:
            self.sums = torch.zeros_like(sums)
        self.sums.copy_(sums)
        self.missed.copy_(missed)

    def test(self, part: Subset) -> None:
        """Scores another part, with the norms as they were calibrated for the last score."""
        with self._drawn():
            sums, missed = score(self.network, part, self.proxy, self.program)
        self.trainee.test = result(sums, part), missed.item() / len(part.labels)

    def end_epoch(self, epoch: int, steps: int) -> None:
        curves = self.trainee.curves
        first, last = map(gradient_norm, self._watched)
        curves.losses.append(self.total.item() / steps)
        if math.isfinite(curves.losses[-1]):
            curves.gradients.append((first, last))
        else:
            curves.diverged = f"the loss is not finite in epoch {epoch + 1}"

    def scored(self) -> bool:
        """Reports the score; whether the training is to end."""
        trainee, curves = self.trainee, self.trainee.curves
        assert self.sums is not None
        curves.accuracies.append(result(self.sums, self.scoring))
        curves.scored_losses.append(self.missed.item() / len(self.scoring.labels))
        if trainee.on_progress:
            self.release()
            moments = self._moments("momentum"), self._moments("variance")
            trainee.on_progress(TrainingProgress(deepcopy(curves), *moments))
            for flat in self.flats:
                flat.bind()
        if trainee.on_epoch and trainee.on_epoch(len(curves.losses), curves.accuracies[-1]):
            curves.stopped = True
        return curves.stopped

    def _moments(self, kind: str) -> dict[str, Tensor]:
        """The optimizer's tensors by parameter name; the next step changes them in place."""
        if not (self.proxy.momentum if kind == "momentum" else self.proxy.optimizer == "adamw"):
            return {}
        buffers = [(flat, getattr(flat, kind)) for flat in self.flats]
        pairs = [
            pair for f, buffer in buffers for pair in zip(f.names, f.views(buffer), strict=True)
        ]
        return dict(pairs)

    def release(self) -> None:
        """Gives the network its fp32 parameters back."""
        for flat in self.flats:
            flat.release()


class _Lockstep:
    """The networks that are still trained; a step of all of them is repeated as one piece of work."""

    def __init__(
        self,
        courses: Sequence[_Trained],
        feed: Feed,
        proxy: Proxy,
        device: torch.device,
        graphs: bool,
    ) -> None:
        self.courses, self.feed, self.proxy = list(courses), feed, proxy
        self._branches = Branches(len(courses) if graphs else 1, device)
        self._steps = proxy.epochs * feed.steps
        rates = [learning_rate(proxy, step, self._steps) for step in range(self._steps)]
        self._rates = torch.tensor(rates, device=device)
        self._step = torch.zeros(1, dtype=torch.int64, device=device)
        self._rate = torch.zeros((), device=device)
        draws = any(course.draws for course in courses)  # anew in every step
        watched = draws or any(course.trainee.on_step for course in courses)
        self._work = Repeated(self._whole, device) if graphs and not watched else self._whole
        # copies from the host's memory cannot be captured
        here = (
            graphs
            and not draws
            and feed.on_device
            and all(c.scoring.images.device == c.loss.device for c in courses)
        )
        self._score = Repeated(self._scores, device) if here else self._scores

    def train_epoch(self, epoch: int, tick: Callable[[int], None] | None) -> None:
        self.feed.start(epoch)
        self._step.fill_(epoch * self.feed.steps)
        for course in self.courses:
            if not course.program or course.trainee.on_step:  # who may look at the network
                course.network.train()
            course.total.zero_()
        for step in range(epoch * self.feed.steps, (epoch + 1) * self.feed.steps):
            self._number = step
            for course in self.courses:
                course.step = step
            if not self.feed.on_device:
                self.feed.load()
            self._work()
            if tick:
                tick(step + 1)

    def _whole(self) -> None:
        if self.feed.on_device:
            self.feed.load()
        self._branches.run([course.gradients for course in self.courses])
        for course in self.courses:
            if course.trainee.on_step:
                course.trainee.on_step(self._number, course.loss)
        self._rate.copy_(self._rates.index_select(0, self._step)[0])
        self._step.add_(1)
        flats: list[Flat] = [flat for course in self.courses for flat in course.flats]
        update(flats, self.proxy, self._rate)

    def score(self, courses: Sequence[_Trained]) -> None:
        if len(courses) == len(self.courses):
            self._score()
        else:
            self._branches.run([course.score for course in courses])

    def _scores(self) -> None:
        self._branches.run([course.score for course in self.courses])


def _watched(network: Network) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    layers = [cast(CompiledLayer, network.layers[name]) for name in ("1", str(len(network.layers)))]
    first, last = ([p for p in x.branch.parameters() if p.ndim > 1] for x in layers)
    return first, last


def gradient_norm(gradients: Sequence[Tensor]) -> float:
    """L2 norm of all gradients together, summed in float64 so that small ones do not underflow."""
    return math.sqrt(sum(with_float64(g).double().square().sum().item() for g in gradients))
