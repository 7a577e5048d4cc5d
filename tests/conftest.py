"""Shared fixtures; tests that need what is not there skip and say what is missing."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from nas import Genome, Layer, Proxy, SearchSpace, Skeleton, Skip, Stage
from nas.data.dataset import Raw, make_data
from nas.data.images import DEBIAN_FASHION_MNIST
from nas.data.load import load_data

settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.load_profile("default")


def pytest_collection_modifyitems(items):
    import torch

    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session")
def digits():
    return load_data("digits")


@pytest.fixture(scope="session")
def fashion_mnist():
    if not DEBIAN_FASHION_MNIST.exists():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    return load_data("fashion-mnist")


@pytest.fixture(scope="session")
def blobs():
    """Two classes of 6×7 colour pictures that any network can tell apart."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    images = rng.integers(0, 100, (80, 3, 6, 7)) + 150 * labels[:, None, None, None]
    return make_data("blobs", Raw(images.astype(np.uint8), labels, ("dark", "bright")))


@pytest.fixture(scope="session")
def small_space():
    """Four layers, two stages, a proxy of a tenth of a second."""
    return SearchSpace(
        Skeleton((1, 8, 8), 10, (Stage(2, 4), Stage(2, 8, 2))),
        distances=(1, 2, 3),
        merges=("add", "concat"),
        strengths=(0.5, 1.0),
        proxy=Proxy(epochs=1, images=128, batch=32, calibration_images=32),
        name="small",
    )


SMALL_TOML = """
data = "digits"
[skeleton]
input_shape = [1, 8, 8]
classes = 10
stages = [{layers = 2, width = 4}, {layers = 2, width = 8, stride = 2}]
[space]
distances = [1, 2, 3]
merges = ["add", "concat"]
strengths = [0.5, 1.0]
[proxy]
epochs = 2
images = 128
batch = 32
[final]
epochs = 2
images = 128
batch = 32
"""


def write_small_space(folder: Path) -> Path:
    """The small space as a file, with a proxy of two epochs."""
    path = folder / "small.toml"
    path.write_text(SMALL_TOML)
    return path


@pytest.fixture
def ray_cluster(monkeypatch):
    """A Ray cluster of two nodes with one processor each; the first is the driver's."""
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_worker_niceness", "0")
    nodes = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        nodes.add_node(num_cpus=1)
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()


@pytest.fixture
def small_toml(tmp_path) -> Path:
    return write_small_space(tmp_path)


def random_genome(layers: int, rng: random.Random, merges: list[str]) -> Genome:
    """Any genome: each layer plain, or any merge with one to three skips of any distance."""
    tokens = []
    for index in range(1, layers + 1):
        if rng.random() < 0.2:
            tokens.append("-")
            continue
        distances = sorted(rng.sample(range(1, index + 1), min(index, rng.randint(1, 3))))
        skips = ",".join(f"{d}@{rng.choice([0.25, 0.5, 1, 1.5])}" for d in distances)
        tokens.append(f"{rng.choice(merges)}({skips})")
    return Genome.parse(" ".join(tokens))


def with_names(genome, skeleton, rng):
    """The genome, some of whose skips start at nodes by their names."""
    layers = []
    for index, layer in enumerate(genome.layers, 1):
        skips, used = list(layer.skips), {skeleton.source(index, s.distance) for s in layer.skips}
        for name in (0, -1):
            node = skeleton.source(index, name)
            if layer.merge and node is not None and node not in used and rng.random() < 0.6:
                skips.append(Skip(name, rng.choice((1, 0.5))))
                used.add(node)
        layers.append(Layer(layer.merge, tuple(skips)))
    return Genome(tuple(layers))
