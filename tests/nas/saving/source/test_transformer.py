"""Transformers as source: the same weights and logits, and as ruff wants it."""

import random
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas import Genome, compile_network
from nas.architecture.merges import MERGES
from nas.saving.classifier import Card
from nas.saving.source.families import source_of
from nas.saving.uses import usable
from tests.conftest import random_genome, with_names
from tests.nas.saving.source.test_module import module_of
from tests.nas.saving.test_transformers import GENOME, PICTURES, TEXT
from tests.transformers import inputs_of, merges_of, skeletons


def classifier_of(genome, skeleton):
    channels = 0 if skeleton.text else skeleton.input_shape[0]
    names = tuple(map(str, range(skeleton.classes)))
    task = "language" if skeleton.text else "classification"
    card = Card((0.25,) * channels, (1.5,) * channels, names, task=task)
    network, generator = compile_network(genome, skeleton), torch.Generator().manual_seed(0)
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.3, generator=generator)
    return usable(network, card).eval()


@settings(max_examples=12)
@given(skeletons(), st.integers(0, 10**6))
def test_random_patterns_on_random_skeletons(tmp_path_factory, skeleton, seed):
    rng = random.Random(seed)
    genome = random_genome(skeleton.layers, rng, merges_of(skeleton))
    classifier = classifier_of(with_names(genome, skeleton, rng), skeleton)
    text = source_of(classifier, "network.safetensors")
    network = module_of(text, tmp_path_factory.getbasetemp()).Network()
    own = classifier.network.state_dict()
    assert {n: v.shape for n, v in network.state_dict().items()} == {
        n: v.shape for n, v in own.items()
    }
    network.load_state_dict(own)
    inputs = inputs_of(skeleton, 2, seed)
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(inputs), classifier(inputs))


def test_ruff_finds_nothing(tmp_path):
    pytest.importorskip("ruff")
    for number, skeleton in enumerate((TEXT, PICTURES)):
        named = Genome.parse("add(1)*2 add(0,m@0.5) mix(1,0@0.5)")
        for genome in (GENOME, Genome.plain(4), Genome.residual(4), named):
            text = source_of(classifier_of(genome, skeleton), "a.safetensors")
            (tmp_path / f"n{number}{genome.key.count('@')}{genome.key.count('(')}.py").write_text(
                text
            )
    assert len(list(tmp_path.iterdir())) >= 6
    for command in (["check"], ["format", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", str(tmp_path)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_a_merge_with_a_second_branch(monkeypatch, tmp_path):
    """What a merge declares by the site is written, whatever parts of tokens it is made of."""
    monkeypatch.setattr(type(MERGES["dense"]), "any_shape", True)
    classifier = classifier_of(Genome.parse("dense(1)*2 dense(1,2)*2"), TEXT)
    network = module_of(source_of(classifier, "a.safetensors"), tmp_path).Network()
    network.load_state_dict(classifier.network.state_dict())
    symbols = inputs_of(TEXT, 2)
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(symbols), classifier(symbols))


@pytest.mark.parametrize(
    ("notation", "row"),
    [
        ("add(1)*3 add(1,m)", '(Add, [1, "m"])'),
        ("add(1)*3 mix(1,0)", "(Mix, [1, 0])"),
        ("- add(1) add(m@0.5,0) concat(1,0@0.5)", '(Add, {0: 1.0, "m": 0.5})'),
        ("- add(1) [mix(1,0)]*2", "*[(Mix, [1, 0])] * 2"),
    ],
)
def test_sources_by_name_are_read(notation, row, tmp_path):
    """They stay names, as in the notation."""
    classifier = classifier_of(Genome.parse(notation), TEXT)
    text = source_of(classifier, "network.safetensors")
    assert row in text
    network = module_of(text, tmp_path).Network()
    network.load_state_dict(classifier.network.state_dict())
    inputs = inputs_of(TEXT, 2, 0)
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(inputs), classifier(inputs))
