"""Networks as files: what is read back, and what is refused, without unpickling anything."""

import json
import pickle
import struct

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file

import nas.plugins
from nas import Genome, InputError, compile_network, load_network, save_network
from nas.architecture.merges import MERGES
from nas.plugins import check_plugins
from nas.saving.classifier import Card, Classifier
from tests.nas.saving.networks import EVERY_MERGE, moved, skeleton
from tests.training_helpers import CARD

SKELETONS = {
    "usual": {},
    "preactivation": {"block": "preact-basic"},
    "bottleneck, 7x7": {"block": "bottleneck", "stem": "7x7", "input_shape": (1, 40, 40)},
    "no norm": {"norm": "none", "bias": True, "init": "he"},
    "adapter A": {"adapter": "A"},
}


@pytest.fixture
def saved(tmp_path):
    network = moved(compile_network(EVERY_MERGE, skeleton(), seed=1))
    return save_network(Classifier(network, CARD).eval(), tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", SKELETONS)
def test_reads_back_the_same_function(tmp_path, name, monkeypatch):
    network = moved(compile_network(EVERY_MERGE, skeleton(**SKELETONS[name]), seed=1))
    images = torch.randn(5, *network.skeleton.input_shape)
    save_network(network, tmp_path)
    for module, function in ((pickle, "load"), (pickle, "loads"), (torch, "load")):
        monkeypatch.setattr(module, function, None)
    loaded = load_network(tmp_path)
    assert not loaded.training
    assert loaded.genome == EVERY_MERGE
    assert loaded.skeleton == network.skeleton
    with torch.inference_mode():
        assert torch.equal(loaded(images), network(images))
    assert loaded.network.state_dict().keys() == network.state_dict().keys()


def test_takes_pictures_as_they_are(saved):
    loaded = load_network(saved)
    pictures = torch.randint(0, 256, (3, 1, 12, 12), dtype=torch.uint8)
    normalised = (pictures.numpy().astype(np.float32) - np.float32(70.5)) / np.float32(81.25)
    with torch.inference_mode():
        expected = loaded.network(torch.from_numpy(normalised))
        assert torch.equal(loaded(pictures), expected)
        assert torch.equal(loaded(pictures.float()), expected)
    assert loaded.card.classes == tuple("0123456789")


def test_the_file_is_plain_safetensors_with_json(saved):
    """Read by hand and by another library: length, JSON header, tensors."""
    content = saved.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["skipnas"])
    assert header["genome"] == str(EVERY_MERGE)
    assert header["layers"][3] == {"merge": "channel", "skips": [[2, 0.5]]}
    assert header["skeleton"]["stages"][1] == {"layers": 5, "width": 8, "stride": 2}
    assert (header["mean"], header["std"]) == ([70.5], [81.25])
    assert header["training"] == {"epochs": 3}
    assert header["versions"].keys() == {"skipnas", "torch"}
    assert json.loads(saved.with_suffix(".json").read_text()) == header
    network = load_network(saved).network
    arrays = load_file(saved)
    assert np.array_equal(arrays["head.fc.weight"], network.head.fc.weight.detach().numpy())


def test_equal_networks_are_equal_files(saved, tmp_path):
    again = save_network(load_network(saved), tmp_path / "b.safetensors")
    assert again.read_bytes() == saved.read_bytes()


def test_a_loaded_network_learns_on(saved):
    loaded = load_network(saved).train()
    loaded(torch.rand(4, 1, 12, 12) * 255).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in loaded.parameters())


def changed(saved, change_header=None, change_tensors=None):
    """The file with another header or other tensors."""
    length = struct.unpack("<Q", saved.read_bytes()[:8])[0]
    header = json.loads(json.loads(saved.read_bytes()[8 : 8 + length])["__metadata__"]["skipnas"])
    tensors = load_tensors(saved)
    if change_header:
        change_header(header)
    if change_tensors:
        change_tensors(tensors)
    save_file(tensors, saved, {"skipnas": json.dumps(header)})
    return saved


def put(key, value):
    return lambda values: values.__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.pop("skeleton"), "holds a genome, but no skeleton"),
        (lambda h: h.pop("genome"), "holds no genome"),
        (put("format", 2), "has format 2; this version reads 1"),
        (put("genome", "add(1)*3"), "the genome has 3 layers, the skeleton 9"),
        (put("genome", "add(1"), "is not a layer"),
        (put("genome", "add(1)*9"), "fit the genome: layers.3.merge.alpha is not of this"),
        (put("genome", "blend(1)*9"), "merge 'blend' of a plugin that is not loaded.*--plugin"),
        (lambda h: h["skeleton"].update(block="mine"), "block 'mine' of a plugin"),
        (lambda h: h["skeleton"].update(width=3), "unknown key 'width'"),
        (lambda h: h["skeleton"].update(classes="many"), "skeleton: classes"),
        (put("mean", [1.0, 2.0]), "mean has 2 values, not 1"),
        (put("std", [0.0]), "numbers above 0"),
        (put("classes", ["a"]), "1 names for 10 classes"),
    ],
)
def test_headers_that_are_refused(saved, change, message):
    with pytest.raises(InputError, match=message) as raised:
        load_network(changed(saved, change))
    assert str(raised.value).startswith(str(saved))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("head.fc.bias"), "head.fc.bias is missing"),
        (put("extra", torch.zeros(1)), "extra is not of this network"),
        (put("head.fc.bias", torch.zeros(11)), r"head.fc.bias has shape \(11,\), not \(10,\)"),
        (put("head.fc.bias", torch.zeros(10).int()), "torch.int32, not torch.float32"),
    ],
)
def test_weights_that_are_refused(saved, change, message):
    with pytest.raises(InputError, match=message):
        load_network(changed(saved, change_tensors=change))


def test_files_that_are_refused(tmp_path, saved):
    content = saved.read_bytes()
    files = {
        "none.safetensors": (None, "there is no such file"),
        "text.safetensors": (b"hello", "not a readable safetensors file"),
        "short.safetensors": (content[:-8], "not a readable safetensors file"),
        "empty.safetensors": (b"", "not a readable safetensors file"),
        "pickle.safetensors": (pickle.dumps({"a": 1}), "not a readable safetensors file"),
    }
    for name, (written, message) in files.items():
        if written is not None:
            (tmp_path / name).write_bytes(written)
        with pytest.raises(InputError, match=message):
            load_network(tmp_path / name)
    save_file({"a": torch.zeros(1)}, tmp_path / "others.safetensors")
    with pytest.raises(InputError, match="holds no genome"):
        load_network(tmp_path / "others.safetensors")
    with pytest.raises(InputError, match=r"\d \.safetensors files; name one"):
        load_network(tmp_path)
    (tmp_path / "begun").mkdir()
    save_file({"a": torch.zeros(1)}, tmp_path / "begun" / "checkpoint.safetensors")
    with pytest.raises(InputError, match="its training has not ended"):
        load_network(tmp_path / "begun")
    network = load_network(saved)
    with pytest.raises(InputError, match=r"ends in \.safetensors"):
        save_network(network, tmp_path / "a.pt")
    with pytest.raises(InputError, match="there is no folder"):
        save_network(network, tmp_path / "no" / "a.safetensors")


PLUGIN = """
from nas.architecture.merges import Merge, total
class Half(Merge):
    def parts(self, site):
        return {}
    def forward(self, learnt, branch, skips, previous):
        return 0.5 * branch + 0.5 * total(skips)
MERGES = {"half": Half()}
"""


@pytest.fixture
def plugin(tmp_path):
    """A plugin's file, and a way to forget it as a new process has."""
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    before = dict(nas.plugins.LOADED)
    digest = nas.plugins.load_plugin(path)

    def forget():
        MERGES.pop("half", None)
        nas.plugins.LOADED.clear()
        nas.plugins.LOADED.update(before)

    yield path, digest, forget
    forget()


def test_a_network_names_the_plugin_that_it_needs(tmp_path, plugin):
    path, digest, forget = plugin
    network = compile_network(Genome.parse("half(1)*9"), skeleton(), seed=0).eval()
    card = Card((0.0,), (1.0,), tuple("0123456789"), plugins={"mine.py": digest})
    save_network(Classifier(network, card), tmp_path)
    forget()
    with pytest.raises(InputError, match=r"merge 'half' of a plugin \(mine\.py\).*--plugin"):
        load_network(tmp_path)
    images = torch.randn(2, 1, 12, 12)
    with torch.inference_mode():
        assert torch.equal(load_network(tmp_path, plugins=[path])(images), network(images))
    forget()
    path.write_text(PLUGIN.replace("0.5", "0.25"))
    with pytest.raises(InputError, match=f"mine.py: it has changed .* made with {digest}"):
        load_network(tmp_path, plugins=[path])


def test_plugins_of_a_record():
    check_plugins({"a.py": "1"}, {"a.py": "1", "b.py": "2"}, "study 's'")
    with pytest.raises(InputError, match=r"study 's' needs the plugin a\.py: .*--plugin"):
        check_plugins({"a.py": "1"}, {}, "study 's'")
    with pytest.raises(InputError, match="it has changed"):
        check_plugins({"a.py": "1"}, {"a.py": "2"}, "study 's'")
