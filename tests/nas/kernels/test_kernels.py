"""The kernels compute what PyTorch's modules compute, and leave to them what they do not have."""

import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from nas import Genome, Proxy, SearchSpace, Skeleton, Stage, compile_network, evaluate
from nas.architecture.merges import MERGES, Add
from nas.devices.device import computes_bf16, one_thread
from nas.kernels.library import library, narrow, variant
from nas.kernels.program import Program, compiled
from nas.kernels.steps import UnsupportedError
from nas.network.parameters import DTYPES, flatten
from nas.training.lockstep import Trainee, train, train_together
from search_spaces import SPACES

CPU = torch.device("cpu")
kernels = pytest.mark.skipif(library() is None, reason="no kernels were compiled for this machine")
bf16 = pytest.mark.skipif(not computes_bf16(CPU), reason="this processor has no bf16 products")
PRECISIONS = ["fp32", pytest.param("bf16", marks=bf16)]
STAGES = (Stage(2, 16), Stage(2, 32, 2), Stage(1, 48, 2))
QUICK = Proxy(epochs=2, images=100, batch=20, precision="fp32", calibration_images=30)


COMPUTED = tuple(sorted({*MERGES} - {"graft", "mix", "route"}))
"""Merges that have a kernel; a graft is for trained networks, of whatever blocks."""


def program_of(network, precision, shape, images):
    """The program, its network's flat buffers, and gradients by parameter name."""
    flats = flatten(network, replace(QUICK, precision=precision))
    named = {
        name: (parameter, view)
        for flat in flats
        for name, parameter, view in zip(
            flat.names, flat.parameters, flat.views(flat.gradient), strict=True
        )
    }
    places = {id(parameter): view for parameter, view in named.values()}
    sizes = {"train": images, "calibrate": images, "score": images}
    program = Program(network, places, DTYPES[precision], shape, sizes, library())
    return program, flats, {name: view for name, (_, view) in named.items()}


def distance(found, wanted, floor=1e-3):
    wanted = wanted.double()
    return ((found.double() - wanted).norm() / (wanted.norm() + floor)).item()


def compare(genome, skeleton, precision="fp32", shape=None, images=7, smoothing=0.1):
    """Largest relative distances from PyTorch in float64: loss, gradients, statistics, logits."""
    shape = shape or skeleton.input_shape
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(images, *shape, generator=generator)
    labels = torch.randint(0, skeleton.classes, (images,), generator=generator)
    network = compile_network(genome, skeleton, seed=1)
    program, flats, gradients = program_of(network, precision, shape, images)
    exact = compile_network(genome, skeleton, seed=1).double()
    for mine, theirs in zip(network.parameters(), exact.parameters(), strict=True):
        theirs.data.copy_(mine.data)  # as rounded
    network.train()
    exact.train()
    loss = F.cross_entropy(exact(pictures.double()), labels, label_smoothing=smoothing)
    loss.backward()
    found = program.gradients(pictures, labels, smoothing)
    wanted = {name: p.grad for name, p in exact.named_parameters()}
    whole = torch.cat([g.flatten() for g in wanted.values()])
    found_whole = torch.cat([gradients[name].flatten() for name in wanted])
    for norm in (m for m in (*network.modules(), *exact.modules()) if hasattr(m, "momentum")):
        norm.momentum = 0.5
    program.calibrate(pictures)
    with torch.no_grad():
        exact(pictures.double())
        buffers = dict(exact.named_buffers())
        states = [(b, buffers[n]) for n, b in network.named_buffers()]
        exact.eval()
        program.start_scoring()
        logits = distance(program.score(pictures).float(), exact(pictures.double()))
    for flat in flats:
        flat.release()
    network.eval()
    return {
        "loss": abs(found.item() - loss.item()),
        "gradient": distance(found_whole, whole),
        "statistics": max((distance(*pair, floor=0.1) for pair in states), default=0.0),
        "logits": logits,
    }


LEAST = {"fp32": dict.fromkeys(("loss", "gradient", "statistics", "logits"), 2e-4),
         "bf16": {"loss": 0.1, "gradient": 0.4, "statistics": 0.1, "logits": 0.1}}  # fmt: skip
"""bf16 has eight bits: ReLUs near zero flip, and gradients with them."""


def check(found, precision="fp32"):
    for name, value in found.items():
        assert value < LEAST[precision][name], found


@kernels
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("merge", ["-", *COMPUTED])
def test_every_merge_is_that_of_pytorch(merge, precision):
    text = (
        "-*5" if merge == "-" else f"{merge}(1) {merge}(1,2@0.5) {merge}(1@2,3) - {merge}(2,5@0.5)"
    )
    skeleton = Skeleton((1, 9, 9), 10, STAGES)
    check(compare(Genome.parse(text), skeleton, precision), precision)


@kernels
@pytest.mark.parametrize("block", ["basic", "bottleneck", "preact-basic", "preact-bottleneck"])
@pytest.mark.parametrize("more", [{}, {"bias": True}, {"norm": "none", "bias": True, "init": "he"}])
def test_every_block_is_that_of_pytorch(block, more):
    genome = Genome.parse("add(1) gate(1,2) se(2@0.5) concat(1,3) dense(1)")
    check(compare(genome, Skeleton((3, 8, 11), 7, STAGES, block=block, **more)))


@kernels
@pytest.mark.parametrize("seed", range(8))
def test_random_patterns_are_those_of_pytorch(seed):
    rng = random.Random(seed)
    stages = tuple(
        Stage(rng.randint(1, 3), rng.choice((16, 32, 48, 64)), rng.choice((1, 2, 3)))
        for _ in range(3)
    )
    shape = (rng.randint(1, 4), rng.randint(19, 24), rng.randint(19, 24))
    space = SearchSpace(
        Skeleton(shape, 10, stages), (1, 2, 3, 4), COMPUTED, strengths=(0.5, 1.0, 2.0)
    )
    shown = (shape[0], rng.randint(9, 12), rng.randint(9, 12))  # a proxy's resolution
    genome = space.sample(rng)
    check(compare(genome, space.skeleton, shape=shown, images=rng.randint(2, 40)))


@kernels
def test_the_narrower_instructions_compute_the_same():
    code = (
        "from tests.nas.kernels.test_kernels import *\n"
        "from nas.kernels.library import variant\n"
        "assert variant() == 'avx2' and library().lanes == 8, variant()\n"
        "torch.set_num_threads(1)\n"
        "genome = Genome.parse('add(1) gate(1,2) se(2@0.5) concat(1,3) attention(1,2)')\n"
        "check(compare(genome, Skeleton((1, 9, 9), 10, (Stage(3, 8), Stage(2, 24, 2)))))\n"
        "with pytest.raises(UnsupportedError, match='bf16'):\n"
        "    compare(Genome.parse('-*2'), Skeleton((1, 9, 9), 10, (Stage(2, 16),)), 'bf16')\n"
        "print('compared')\n"
    )
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "avx2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "compared\n", done.stderr


@pytest.mark.skipif(narrow() is None, reason="the widest vectors here are AVX2's")
def test_narrow_networks_are_computed_by_the_narrower_kernels():
    space = SPACES["digits27"]
    assert {stage.width % library().lanes for stage in space.skeleton.stages} != {0}
    assert variant([8, 16, 32]) == f"{library().name}+avx2"
    assert variant([16, 32]) == library().name == variant()
    network = compile_network(Genome.residual(27), space.skeleton, 0)
    flats = flatten(network, space.proxy)
    with one_thread(CPU):
        made = compiled(
            network, flats, replace(space.proxy, precision="fp32"), torch.Size((32, 1, 8, 8)), 300,
            CPU,
        )  # fmt: skip
    assert made is not None


class Halved(Add):
    """A user's."""

    def forward(self, learnt, branch, skips, previous):
        return 0.5 * (branch + sum(skips))


@kernels
def test_what_the_kernels_do_not_have_is_left_to_pytorch(monkeypatch):
    monkeypatch.setitem(MERGES, "halved", Halved())
    genome = Genome.parse("add(1)*5")
    cases = {
        "channels that do not fill vectors": (genome, Skeleton((1, 8, 8), 10, (Stage(5, 12),))),
        "MaxPool2d": (genome, Skeleton((3, 32, 32), 10, (Stage(5, 16),), stem="7x7")),
        "Subsample": (genome, Skeleton((1, 8, 8), 10, STAGES, adapter="A")),
        "merge halved": (Genome.parse("halved(1)*5"), Skeleton((1, 8, 8), 10, STAGES)),
    }
    for reason, (pattern, skeleton) in cases.items():
        network = compile_network(pattern, skeleton)
        with pytest.raises(UnsupportedError, match=reason):
            program_of(network, "fp32", skeleton.input_shape, 4)


@kernels
@pytest.mark.parametrize("reason", ["merge", "threads"])
def test_a_training_without_kernels_goes_on(reason, digits, monkeypatch):
    monkeypatch.setitem(MERGES, "halved", Halved())
    merge = "halved" if reason == "merge" else "add"
    found = evaluate(Genome.parse(f"{merge}(1)*5"), skeleton_of(digits), QUICK, 0, digits, "cpu")
    assert found.status == "ok"
    network = compile_network(Genome.parse("add(1)*5"), skeleton_of(digits))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    curves = train(network, digits, QUICK, 0, CPU)
    torch.set_num_threads(before)
    assert len(curves.losses) == 2


def skeleton_of(digits):
    return Skeleton(digits.shape, len(digits.classes), STAGES)


GENOMES = [
    Genome.parse(text) for text in ("add(1)*5", "gate(1) se(2) concat(1,3) - scale(1)", "-*5")
]


@kernels
@pytest.mark.parametrize("precision", PRECISIONS)
def test_together_is_bit_for_bit_as_alone(precision, digits):
    proxy = replace(QUICK, precision=precision)

    def networks():
        return [compile_network(genome, skeleton_of(digits)) for genome in GENOMES]

    with one_thread(CPU):
        trainees = [Trainee(network) for network in networks()]
        train_together(trainees, digits, proxy, 0, CPU)
        for trainee, network in zip(trainees, networks(), strict=True):
            curves = train(network, digits, proxy, 0, CPU)
            assert curves == trainee.curves
            theirs = trainee.network.state_dict()
            for name, mine in network.state_dict().items():
                assert torch.equal(mine, theirs[name]), name


@kernels
def test_going_on_is_bit_for_bit_as_not_having_stopped(digits):
    proxy = replace(QUICK, epochs=3)
    with one_thread(CPU):
        whole = compile_network(GENOMES[1], skeleton_of(digits))
        curves = train(whole, digits, proxy, 0, CPU)
        kept = []
        first = compile_network(GENOMES[1], skeleton_of(digits))

        def keep(progress):
            state = {name: tensor.clone() for name, tensor in first.state_dict().items()}
            momentum = {name: tensor.clone() for name, tensor in progress.momentum.items()}
            kept.append((replace(progress, momentum=momentum), state))

        train(first, digits, proxy, 0, CPU, on_epoch=lambda epoch, _: epoch == 2, on_progress=keep)
        progress, state = kept[1]
        second = compile_network(GENOMES[1], skeleton_of(digits))
        second.load_state_dict(state)
        assert train(second, digits, proxy, 0, CPU, start=progress) == curves
        for name, tensor in second.state_dict().items():
            assert torch.equal(tensor, whole.state_dict()[name]), name


@kernels
def test_steps_show_gradients(digits):
    seen, kept = [], []
    network = compile_network(GENOMES[1], skeleton_of(digits))

    def look(step, loss):
        assert network.training
        kept.append(network.stem.conv.weight.grad)
        seen.append((loss.item(), sum(p.grad.square().sum().item() for p in network.parameters())))

    with one_thread(CPU):
        train(network, digits, QUICK, 0, CPU, on_step=look)
    assert len(seen) == 10
    assert all(loss > 0 and size > 0 for loss, size in seen)
    assert not torch.equal(kept[0], kept[-1])  # each step's are its own


@kernels
def test_a_batch_larger_than_the_data_is_cut(digits):
    found = evaluate(GENOMES[0], skeleton_of(digits), replace(QUICK, batch=10**9), 0, digits, "cpu")
    assert found.status == "ok"


@kernels
def test_a_file_that_cannot_be_loaded_is_left_out_with_a_warning(monkeypatch, tmp_path):
    from nas.kernels import library as module

    for name in ("kernels.c", "kernels-avx2.so", "kernels-avx512.so", "kernels-bf16.so"):
        shutil.copy(module.FOLDER / name, tmp_path / name)
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    assert library.__wrapped__() is not None
    (tmp_path / "kernels.c").write_text("/* newer */")
    with pytest.warns(UserWarning, match="another kernels.c; install skipnas again"):
        assert library.__wrapped__() is None
    for path in list(tmp_path.glob("*.so")):
        path.unlink()  # what is loaded must not be written into
        path.write_bytes(b"cut")
    with pytest.warns(UserWarning, match="is not used"):
        assert library.__wrapped__() is None


@kernels
def test_a_divergence_is_seen(digits):
    proxy = replace(QUICK, learning_rate=1e18, warmup=0.0)
    for genome in GENOMES:
        found = evaluate(genome, skeleton_of(digits), proxy, 0, digits, "cpu")
        assert found.status == "diverged", genome


@kernels
def test_the_trained_network_is_an_ordinary_one(digits):
    """PyTorch's modules give the accuracy that the kernels found."""
    from nas.training.batches import prepare
    from nas.training.scoring import accuracy

    with one_thread(CPU):
        network = compile_network(GENOMES[1], skeleton_of(digits))
        curves = train(network, digits, QUICK, 0, CPU)
        part = prepare(digits, QUICK, "validation", CPU)
        assert accuracy(network, part, QUICK) == pytest.approx(curves.accuracies[-1], abs=0.01)
    norm = network.stem.norm
    assert norm.num_batches_tracked == 1  # 30 images for calibration in one call
