"""Exported programs: the same logits for whoever loads them, and what the check finds."""

import json
import runpy
from dataclasses import replace

import numpy as np
import pytest
import torch

from nas import InputError, compile_network
from nas.saving import exports as module
from nas.saving.classifier import Classifier
from nas.saving.exports import FORMATS, Exported, export
from nas.saving.fresh_process import READERS
from tests.nas.saving.networks import EVERY_MERGE, moved, skeleton
from tests.training_helpers import CARD


@pytest.fixture(scope="module")
def classifier():
    network = moved(compile_network(EVERY_MERGE, skeleton(), seed=1))
    return Classifier(network, CARD).eval()


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(1).integers(0, 256, (5, 1, 12, 12)).astype(np.float32)


def logits(classifier, pictures):
    with torch.inference_mode():
        return classifier(torch.from_numpy(pictures)).numpy()


def as_json(document):
    return json.loads(json.dumps(document))


def assert_no_paths(path):
    assert b"site-packages" not in path.read_bytes()
    assert b"nas/network.py" not in path.read_bytes()


def test_safetensors_and_its_json(classifier, tmp_path):
    done = export(classifier, "safetensors", tmp_path)
    assert done.equal
    assert done.difference == 0
    assert done.path == tmp_path / "network.safetensors"
    assert json.loads((tmp_path / "network.json").read_text()) == as_json(classifier.document())
    other = compile_network(EVERY_MERGE, skeleton(), seed=2)
    with pytest.raises(InputError, match="holds another network"):
        export(Classifier(other, CARD).eval(), "safetensors", tmp_path)
    assert done.path.exists()


@pytest.mark.slow
def test_onnx(classifier, pictures, tmp_path):
    onnx = pytest.importorskip("onnx")
    ort = pytest.importorskip("onnxruntime")
    done = export(classifier, "onnx", tmp_path)
    assert done.equal
    model = onnx.load(done.path)
    onnx.checker.check_model(model, full_check=True)
    assert json.loads(model.metadata_props[0].value) == as_json(classifier.document())
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["batch", 1, 12, 12]
    assert_no_paths(done.path)
    session = ort.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    for count in (1, 5):
        found = session.run(None, {"pictures": pictures[:count]})[0]
        assert np.allclose(found, logits(classifier, pictures[:count]), atol=1e-5)


@pytest.mark.slow
def test_torch_export(classifier, pictures, tmp_path):
    done = export(classifier, "torch-export", tmp_path)
    assert done.equal
    assert_no_paths(done.path)
    extra = {"skipnas.json": ""}
    program = torch.export.load(done.path, extra_files=extra)
    assert json.loads(extra["skipnas.json"]) == as_json(classifier.document())
    for count in (1, 5):
        found = program.module()(torch.from_numpy(pictures[:count])).detach().numpy()
        assert np.allclose(found, logits(classifier, pictures[:count]), atol=1e-5)


def test_a_file_with_other_logits_is_found_and_removed(classifier, tmp_path, monkeypatch):
    other = Classifier(classifier.network, replace(CARD, mean=(0.0,))).eval()
    form = replace(
        FORMATS["safetensors"], write=lambda _, path, name: module.write_weights(other, path)
    )
    monkeypatch.setitem(FORMATS, "safetensors", form)
    done = export(classifier, "safetensors", tmp_path)
    expected = [
        np.abs(logits(classifier, batch) - logits(other, batch)).max()
        for batch in module.example_pictures(classifier)
    ]
    assert done.difference == pytest.approx(max(expected), rel=0.01)
    assert not done.equal
    assert list(tmp_path.iterdir()) == []


def test_what_counts_as_equal(tmp_path):
    assert Exported("onnx", tmp_path, 0.1, 0.1).equal
    assert not Exported("onnx", tmp_path, 0.11, 0.1).equal
    assert not Exported("onnx", tmp_path, float("nan"), 0.1).equal


def test_a_file_that_cannot_be_read_in_a_fresh_process(classifier, tmp_path, monkeypatch):
    form = replace(FORMATS["safetensors"], write=lambda _, path, name: path.write_text("hello"))
    monkeypatch.setitem(FORMATS, "safetensors", form)
    with pytest.raises(InputError, match=r"cannot be used in a fresh process: .*not a readable"):
        export(classifier, "safetensors", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_python_has_its_weights_beside_it(classifier, pictures, tmp_path):
    done = export(classifier, "python", tmp_path, "my-network")
    assert done.difference == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "my_network.py", "my-network.safetensors", "my-network.json",
    }  # fmt: skip
    network = runpy.run_path(done.path)["load"]()
    with torch.inference_mode():
        found = network(torch.from_numpy(pictures)).numpy()
    assert np.array_equal(found, logits(classifier, pictures))
    assert export(classifier, "python", tmp_path, "my-network").equal  # the same again
    other = Classifier(compile_network(EVERY_MERGE, skeleton(), seed=2), CARD).eval()
    with pytest.raises(InputError, match="holds another network"):
        export(other, "python", tmp_path, "my-network")
    done.path.write_text("# changed by hand")
    with pytest.raises(InputError, match="holds something else"):
        export(classifier, "python", tmp_path, "my-network")
    assert done.path.read_text() == "# changed by hand"


def test_a_module_that_imports_ours_is_found(classifier, tmp_path, monkeypatch):
    def write(network, path, weights):
        path.write_text(module.source_of(network, weights) + "\n\nimport nas.network\n")

    monkeypatch.setitem(FORMATS, "python", replace(FORMATS["python"], write=write))
    with pytest.raises(InputError, match=r"cannot be used in a fresh process: .*nas"):
        export(classifier, "python", tmp_path)
    assert not (tmp_path / "network.py").exists()


@pytest.mark.parametrize(
    ("stem", "name"),
    [("network", "network"), ("a-1.b", "a_1_b"), ("1", "network_1"), ("if", "network_if")],
)
def test_names_that_python_can_import(stem, name):
    assert module.module_name(stem) == name


def test_what_is_not_installed_is_named(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install onnx onnxscript onnxruntime"):
        export(classifier, "onnx", tmp_path)


def test_every_format_has_a_reader():
    assert READERS.keys() == FORMATS.keys()
