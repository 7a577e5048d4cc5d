"""Weights of parents: what is taken over, how they are kept, and that files are a cache only."""

import os
from functools import partial

import pytest
import torch
from safetensors.torch import load_file, save_file

from nas import Genome, Proxy, Skeleton, Stage, compile_network, evaluate
from nas.errors import InputError
from nas.evaluation.inheritance import Ancestor, WeightFolder, evaluate_heir, inherit

SKELETON = Skeleton((1, 8, 8), 10, (Stage(2, 4), Stage(2, 8, 2)))
PROXY = Proxy(epochs=1, images=128, batch=32, calibration_images=32)
PLAIN, SKIP = Genome.parse("-*4"), Genome.parse("- add(1) - -")
CONCAT = Genome.parse("- concat(1) - -")


def trained(genome, seed=1):
    """A network whose every tensor differs from what seed 0 initialises, statistics too."""
    network = compile_network(genome, SKELETON, seed)
    for tensor in network.state_dict().values():
        tensor.add_(1)
    return network


def test_a_child_equal_to_its_parent_starts_with_the_exact_tensors():
    parent, child = trained(CONCAT).state_dict(), compile_network(CONCAT, SKELETON, 0)
    found = inherit(child, parent)
    assert found.tensors == len(parent)
    assert found.share == 1
    for name, tensor in child.state_dict().items():
        assert torch.equal(tensor, parent[name]), name


def test_what_the_parent_has_not_is_initialised_as_always():
    parent, child = trained(PLAIN).state_dict(), compile_network(CONCAT, SKELETON, 0)
    found = inherit(child, parent)
    fresh = compile_network(CONCAT, SKELETON, 0).state_dict()
    new = {name for name in fresh if name.startswith("layers.2.merge.")}
    assert new == set(fresh) - set(parent)
    for name, tensor in child.state_dict().items():
        assert torch.equal(tensor, fresh[name] if name in new else parent[name]), name
    # 1×1 convolution of two times 4 channels to 4 without a bias, and batch norm's weight and bias
    own = 2 * 4 * 4 + 2 * 4
    params = sum(p.numel() for p in child.parameters())
    assert found.tensors == len(parent)
    assert found.share == (params - own) / params


def test_names_that_agree_in_another_shape_are_not_taken():
    wide = Genome.parse("- concat(1,2) - -")  # three times 4 channels into the same convolution
    parent, child = trained(wide).state_dict(), compile_network(CONCAT, SKELETON, 0)
    fresh = compile_network(CONCAT, SKELETON, 0).state_dict()
    other = [name for name in fresh if parent[name].shape != fresh[name].shape]
    assert [parent[name].shape for name in other] == [(4, 12, 1, 1)]
    assert inherit(child, parent).tensors == len(fresh) - 1
    assert torch.equal(child.state_dict()[other[0]], fresh[other[0]])


def test_an_evaluation_starts_from_what_it_is_given(digits):
    """Without a learning rate the weights after training are those before."""
    still = Proxy(epochs=1, images=64, batch=32, learning_rate=0.0)
    parent, kept = trained(PLAIN), {}
    found = evaluate(
        SKIP, SKELETON, still, 0, digits, "cpu",
        start=parent.state_dict(), keep=lambda net: kept.update(net.state_dict()),
    )  # fmt: skip
    assert found.inherited.share == 1
    for name, parameter in parent.named_parameters():
        assert torch.equal(kept[name], parameter), name


def test_pruned_and_diverged_candidates_keep_nothing(digits):
    kept = []
    proxy = Proxy(epochs=2, images=64, batch=32)
    args = (PLAIN, SKELETON, proxy, 0, digits, "cpu")
    assert evaluate(*args, keep=kept.append, on_epoch=lambda *_: True).status == "pruned"
    wild = Proxy(epochs=2, images=640, batch=32, learning_rate=1e30)
    assert evaluate(PLAIN, SKELETON, wild, 0, digits, "cpu", keep=kept.append).status == "diverged"
    assert kept == []


class Counted:
    """Evaluations of a lineage, with the genomes that were trained."""

    def __init__(self, data):
        self.genomes = []
        self.train = partial(
            self.evaluate, skeleton=SKELETON, proxy=PROXY, seed=0, data=data, device="cpu"
        )

    def evaluate(self, genome, **more):
        self.genomes.append(str(genome))
        return evaluate(genome, **more)

    def heir(self, lineage, folder):
        self.genomes.clear()
        return evaluate_heir(lineage, folder, partial(self.train, lineage[-1].genome), self.train)


LINEAGE = (Ancestor(0, PLAIN), Ancestor(3, SKIP), Ancestor(7, CONCAT))


@pytest.fixture
def folder(tmp_path):
    made = WeightFolder(tmp_path / "weights", "one", 9)
    made.prepare()
    return made


@pytest.fixture
def family(digits, folder):
    """(counter, the youngest's losses): three generations, evaluated one after another."""
    counted = Counted(digits)
    for generation in (1, 2, 3):
        found = counted.heir(LINEAGE[:generation], folder)
        assert counted.genomes == [str(LINEAGE[generation - 1].genome)]
    assert (found.inherited is not None, found.status) == (True, "ok")
    return counted, found.losses


def scratch(folder):
    for path in folder.path.iterdir():
        path.unlink()


def truncate(folder):
    path = folder.path / "3.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def flip(folder):
    path = folder.path / "3.safetensors"
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1  # in the tensors, which safetensors itself does not check
    path.write_bytes(content)


def strange(folder):
    """Some network's weights, whole and readable, but not what was kept."""
    path = folder.path / "3.safetensors"
    save_file(load_file(path), path)


def elder(folder):
    """The file of another trial."""
    path = folder.path / "3.safetensors"
    path.write_bytes((folder.path / "0.safetensors").read_bytes())


@pytest.mark.parametrize(
    ("damage", "again"),
    [(scratch, 2), (truncate, 1), (flip, 1), (strange, 1), (elder, 1)],
)
def test_what_is_missing_or_wrong_is_trained_again(family, folder, damage, again):
    counted, losses = family
    before = {p.name: p.read_bytes() for p in folder.path.iterdir()}
    damage(folder)
    found = counted.heir(LINEAGE, folder)
    assert found.losses == losses
    assert counted.genomes == [str(one.genome) for one in LINEAGE[2 - again :]]
    assert {p.name: p.read_bytes() for p in folder.path.iterdir()} == before


def test_weights_of_other_settings_or_ancestors_are_not_read(family, folder):
    assert folder.read(LINEAGE)
    assert WeightFolder(folder.path, "another", 9).read(LINEAGE) is None
    assert folder.read(LINEAGE[1:]) is None


def test_inheriting_makes_a_difference(family, digits, folder):
    alone = evaluate(CONCAT, SKELETON, PROXY, 0, digits, "cpu")
    assert alone.inherited is None
    assert alone.losses != family[1]


def test_the_files_used_last_stay(tmp_path):
    folder = WeightFolder(tmp_path / "weights", "one", 3)
    folder.prepare()
    weights = {"a": torch.zeros(2), "b": torch.tensor(1)}
    lineages = [(Ancestor(number, PLAIN),) for number in range(6)]
    for lineage in lineages:
        folder.write(lineage, weights)
        folder.read(lineages[0])  # a parent in use
    assert sorted(p.name for p in folder.path.iterdir()) == [f"{n}.safetensors" for n in (0, 4, 5)]
    left = folder.path / ".7.part-123.safetensors"
    left.write_bytes(b"half")
    folder.tidy()
    assert left.exists()  # somebody may be writing it
    os.utime(left, (0, 0))
    folder.tidy()
    assert not left.exists()
    assert folder.read(lineages[5])["b"] == 1


def test_a_disk_that_cannot_be_written_loses_no_evaluation(family, tmp_path):
    counted, losses = family
    (tmp_path / "file").write_text("in the way")
    folder = WeightFolder(tmp_path / "file" / "weights", "one", 9)
    assert counted.heir(LINEAGE, folder).losses == losses
    with pytest.raises(InputError, match=r"--inherit: .*Not a directory"):
        folder.prepare()
