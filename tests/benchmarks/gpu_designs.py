"""Ways of training K networks of one skeleton at once: milliseconds a step and network.

- eager: one after the other, every operator started by Python;
- replayed: every network's step captured as a CUDA graph of its own, replayed one after the other;
- branches: one CUDA graph with a branch for every network (what this framework does);
- vmap: parameters stacked, one network vectorised by torch.func, captured;
- grouped: one wide network of grouped convolutions, captured.

The last two need networks of equal pattern, so all have ResNet's; a search's networks differ in
their skips, and would need a mask for every possible one. On a CPU nothing is captured, which only
checks that the script runs.

    python tests/benchmarks/gpu_designs.py [--device cuda] [--space digits9] [--networks 1 2 4 8 16]
"""

import argparse
import copy
import time

import torch
from torch import nn
from torch.func import (
    functional_call,
    grad,
    replace_all_batch_norm_modules_,
    stack_module_state,
    vmap,
)
from torch.nn import functional as F

from nas import Genome, compile_network
from nas.devices.device import find_device, on_device, one_thread, reproducible
from nas.network.modules import Head
from nas.network.parameters import DTYPES, flatten
from nas.training.batches import Feed, prepare
from nas.training.cuda_graphs import Branches, Repeated
from nas.training.optimizer import update
from studies.search.request import SearchRequest, prepare_settings


class Step:
    """A batch, K networks, and one step of all of them."""

    def __init__(self, settings, count, device):
        self.space, self.count, self.device = settings.space, count, device
        self.proxy = settings.space.proxy
        part = prepare(settings.data, self.proxy, "train", device)
        self.feed = Feed(part, self.proxy, 0, device)
        self.feed.start(0)
        self.feed.load()
        self.dtype = DTYPES[self.proxy.precision]
        self.rate = torch.full((), 1e-3, device=device)

    def network(self, seed):
        genome = Genome.residual(self.space.skeleton.layers)
        network = compile_network(genome, self.space.skeleton, seed).to(self.device)
        return network.to(memory_format=torch.channels_last).train()

    def flats(self, network):
        return flatten(network, self.proxy)

    def alone(self, network, flats):
        """A network's gradients, as its branch computes them."""
        loss = F.cross_entropy(network(self.feed.images.to(self.dtype)).float(), self.feed.labels)
        self.take(loss, flats)

    def take(self, loss, flats):
        found = iter(torch.autograd.grad(loss, [p for flat in flats for p in flat.parameters]))
        for flat in flats:
            flat.take([next(found) for _ in flat.parameters])


def singles(step):
    networks = [step.network(seed) for seed in range(step.count)]
    return [(network, step.flats(network)) for network in networks]


def eager(step):
    pairs = singles(step)

    def work():
        for network, flats in pairs:
            step.alone(network, flats)
            update(flats, step.proxy, step.rate)

    return work


def replayed(step):
    def one(network, flats):
        def work():
            step.alone(network, flats)
            update(flats, step.proxy, step.rate)

        return Repeated(work, step.device)

    works = [one(*pair) for pair in singles(step)]
    return lambda: [work() for work in works]


def branches(step):
    pairs, fork = singles(step), Branches(step.count, step.device)

    def work():
        fork.run([lambda n=n, f=f: step.alone(n, f) for n, f in pairs])
        update([flat for _, flats in pairs for flat in flats], step.proxy, step.rate)

    return Repeated(work, step.device)


def vectorised(step):
    networks = [step.network(seed) for seed in range(step.count)]
    for network in networks:
        replace_all_batch_norm_modules_(network)
    networks = [network.to(step.dtype) for network in networks]
    parameters, buffers = stack_module_state(networks)
    skeleton = copy.deepcopy(networks[0]).to("meta")

    def loss(parameters, buffers):
        logits = functional_call(skeleton, (parameters, buffers), step.feed.images.to(step.dtype))
        return F.cross_entropy(logits.float(), step.feed.labels)

    gradients = vmap(grad(loss))

    def work():
        found = gradients(parameters, buffers)
        for name, parameter in parameters.items():
            parameter.data.sub_(step.rate.to(step.dtype) * found[name])

    return Repeated(work, step.device)


def grouped(step):
    network, count = step.network(0), step.count
    for name, module in list(network.named_modules()):
        if isinstance(module, Head):
            new = nn.Conv2d(
                count * module.in_features, count * module.out_features, 1, groups=count
            )
        elif isinstance(module, nn.Conv2d):
            new = nn.Conv2d(
                count * module.in_channels, count * module.out_channels, module.kernel_size,
                module.stride, module.padding, groups=count, bias=module.bias is not None,
            )  # fmt: skip
        elif isinstance(module, nn.BatchNorm2d):
            new = nn.BatchNorm2d(count * module.num_features)
        else:
            continue
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, new)
    network = network.to(step.device).to(memory_format=torch.channels_last)
    flats = step.flats(network)
    classes = step.space.skeleton.classes

    def work():
        images = step.feed.images.to(step.dtype).repeat(1, count, 1, 1)
        logits = network(images).float().view(-1, count, classes).transpose(1, 2)
        labels = step.feed.labels[:, None].expand(-1, count)
        step.take(count * F.cross_entropy(logits, labels), flats)
        update(flats, step.proxy, step.rate)

    return Repeated(work, step.device)


DESIGNS = {
    "eager": eager,
    "replayed": replayed,
    "branches": branches,
    "vmap": vectorised,
    "grouped": grouped,
}


def milliseconds(work, count, device, repeats):
    """Of a step and network, the median of `repeats` groups of ten steps."""
    for _ in range(3):
        work()
    spent = []
    for _ in range(repeats):
        wait(device)
        started = time.perf_counter()
        for _ in range(10):
            work()
        wait(device)
        spent.append((time.perf_counter() - started) / 10)
    return 1e3 * sorted(spent)[len(spent) // 2] / count


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--space", default="digits9")
    parser.add_argument("--data")
    parser.add_argument("--networks", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    device = find_device(arguments.device)
    settings, _ = prepare_settings(
        SearchRequest(space=arguments.space, data=arguments.data, device=arguments.device)
    )
    print(f"{arguments.space}, {settings.space.proxy.precision}: ms a step and network")
    print(f"{'networks':>10}" + "".join(f"{name:>12}" for name in DESIGNS))
    for count in arguments.networks:
        row = []
        for make in DESIGNS.values():
            try:
                with on_device(device), one_thread(device), reproducible(device, False):
                    work = make(Step(settings, count, device))
                    row.append(f"{milliseconds(work, count, device, arguments.repeats):12.3f}")
            except (RuntimeError, NotImplementedError) as error:
                print(f"{make.__name__} with {count}: {str(error).splitlines()[0]}")
                row.append(f"{'-':>12}")
        print(f"{count:>10}" + "".join(row), flush=True)


if __name__ == "__main__":
    main()
