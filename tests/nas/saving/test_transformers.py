"""Transformers are saved, read and exported like other networks; those of texts take symbols."""

import pytest
import torch

from nas import Genome, InputError, compile_network
from nas.architecture.skeletons.transformer import Transformer
from nas.saving.classifier import Card
from nas.saving.exports import FORMATS, available, example_pictures, export
from nas.saving.network_file import load_network, save_network
from nas.saving.uses import LanguageModel, usable

TEXT = Transformer((6,), 5, 2, 8, 2, positions="rotary", norm="rms")
PICTURES = Transformer((1, 8, 8), 5, 2, 8, 2, patch=4, position="post")
GENOME = Genome.parse("add(1) scale(1,2@0.5) - add(1,4)")
NAMES = tuple("abcde")


def classifier_of(skeleton):
    pictures = skeleton is PICTURES
    normal = ((70.0,), (80.0,)) if pictures else ((), ())
    task = "classification" if pictures else "language"
    network = compile_network(GENOME, skeleton, seed=1)
    for value in network.parameters():
        torch.nn.init.normal_(
            value, std=0.3, generator=torch.Generator().manual_seed(value.numel())
        )
    return usable(network, Card(*normal, NAMES, task=task)).eval()


@pytest.mark.parametrize("skeleton", [TEXT, PICTURES])
def test_it_is_read_as_it_was_saved(skeleton, tmp_path):
    classifier = classifier_of(skeleton)
    again = load_network(save_network(classifier, tmp_path))
    assert (again.genome, again.skeleton, again.card.classes) == (GENOME, skeleton, NAMES)
    for batch in map(torch.from_numpy, example_pictures(classifier)):
        assert torch.equal(again(batch), classifier(batch))


def test_what_texts_are_read_as():
    classifier = classifier_of(TEXT)
    symbols = torch.tensor([[0, 4, 2, 2, 1, 3]])
    assert classifier(symbols).shape == (1, 6, 5)
    assert torch.equal(classifier(symbols.to(torch.uint8)), classifier.network(symbols))
    with pytest.raises(
        InputError, match=r"symbols must be whole numbers \(N, 6\), not .* \(1, 5\)"
    ):
        classifier(symbols[:, :5])
    with pytest.raises(InputError, match="mean has 1 values, not 0"):
        LanguageModel(classifier.network, Card((1.0,), (1.0,), NAMES, task="language"))
    said = classifier.predict("abcdecb")
    expected = classifier.network(torch.tensor([[1, 2, 3, 4, 2, 1]]))[0, -1].softmax(0)
    assert [said.probabilities[name] for name in NAMES] == pytest.approx(expected.tolist())
    plain = LanguageModel(classifier.network)
    assert torch.equal(plain(symbols), classifier(symbols))


@pytest.mark.slow
@pytest.mark.parametrize("skeleton", [TEXT, PICTURES])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_the_same_logits(name, skeleton, tmp_path):
    if not available(name):
        pytest.skip(f"what {name} needs is not installed")
    assert export(classifier_of(skeleton), name, tmp_path).equal
