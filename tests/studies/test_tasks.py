"""What follows a search, for every task: finalists, report, long training, use and export."""

import json

import numpy as np
import pytest

from nas import Genome, compile_network, load_data, load_network, save_network
from nas.architecture.skeletons.unet import UNet
from nas.retraining.curves_figure import curves_table
from nas.retraining.retrain import fit, read_fitted
from nas.saving.classifier import Card
from nas.saving.exports import export
from nas.saving.uses import USES, usable
from nas.tasks.table import TASKS, find_task
from studies.report.write import write_report
from studies.retraining.request import TrainRequest, prepare
from tests.helpers import nas
from tests.studies.searches import request, run_search
from tests.task_spaces import write_task_space

LEAST = {"bpc": 0.5, "psnr": 1.0, "miou": 0.0, "accuracy": 0.0}
MOST = {"bpc": 12.0, "psnr": 60.0, "miou": 1.0, "accuracy": 1.0}
"""Between which a score in its own sign lies, trained well or badly."""


def test_every_task_has_a_use():
    assert USES.keys() == TASKS.keys()
    assert all(use.task == name for name, use in USES.items() if hasattr(use, "task"))


def check_use(network, data):
    """What a network of a task says of one input of the test part."""
    image, kind = data.images[data.test[0]], network.card.task
    if kind == "language":
        text = "".join(data.classes[symbol] for symbol in image)
        said = network.predict(text)
        assert sum(said.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert (
            said.probabilities == network.predict("?" + text).probabilities
        )  # the last T are read
        first = network.predict(text[:1]).probabilities
        assert len(first) == len(data.classes)
        written = network.generate(text[:3], 5, seed=2)
        assert len(written) == 5
        assert set(written) <= set(data.classes)
        assert written == network.generate(text[:3], 5, seed=2)
    elif kind == "classification":
        assert network.predict(image).name in data.classes
    elif kind == "segmentation":
        mask = network.predict(image)
        assert mask.shape == image.shape[1:]
        assert mask.max() < len(data.classes)
    else:
        spoilt = image.copy()
        spoilt[:, 2:6, 2:6] = 0
        restored = network.predict(spoilt)
        assert (restored.shape, restored.dtype) == (image.shape, np.uint8)
        if kind == "inpainting":
            assert np.array_equal(restored[spoilt > 0], spoilt[spoilt > 0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "gives"), [("denoising", "restored pictures"), ("segmentation", "logits")]
)
def test_an_export_says_what_its_program_gives(task, gives, tmp_path, capsys):
    network = compile_network(Genome.parse("-*2 concat(m)"), UNet((2, 8, 8), 2, levels=(2, 4)))
    names = ("0", "1") if task == "segmentation" else ()
    classifier = usable(network, Card((0.0, 0.0), (255.0, 255.0), names, task=task))
    save_network(classifier, tmp_path / "network.safetensors")
    code, said, err = nas(
        capsys, "export", tmp_path / "network.safetensors", "--format", "safetensors", "--out",
        tmp_path / "deploy",
    )  # fmt: skip
    assert code == 0, err
    assert f"{gives}: (N, 2, 8, 8)" in said
    assert f"{gives} differ by" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_from_a_search_to_an_export(name, tmp_path):
    task, storage = find_task(name), f"sqlite:///{tmp_path}/a.db"
    space = write_task_space(name, tmp_path)
    result = run_search(
        request(space, storage, evaluations=5, finalists=1, finalist_seeds=2, tuning_seeds=1)
    )
    tested = [task.sign * row.mean for row in result.finalists if row.n]
    assert tested
    assert all(LEAST[task.score] <= mean <= MOST[task.score] for mean in tested)
    report = write_report(result.study, storage, tmp_path / "a.html")
    assert task.label in report.read_text(encoding="utf-8")

    asked = TrainRequest(
        f"best:{result.study}", storage=storage, epochs=2, images=64, device="cpu",
        out=tmp_path / "trained",
    )  # fmt: skip
    order = prepare(asked)
    fitted = fit(order.settings, order.folder, "cpu", origin=order.pattern.origin)
    record = json.loads((order.folder / "training.json").read_text())
    assert record[f"test_{task.score}"] == task.sign * fitted.test
    assert LEAST[task.score] <= record[f"validation_{task.score}"] <= MOST[task.score]
    assert fitted.validation == max(fitted.curves.accuracies)
    again = read_fitted(order.folder)
    assert (again.test, again.curves) == (fitted.test, fitted.curves)
    assert f"validation_{task.score}" in curves_table(fitted.curves, task).splitlines()[0]

    network = load_network(order.folder)
    assert type(network) is USES[name]
    data = load_data(order.settings.data.source, side=order.settings.skeleton.side)
    check_use(network, data)
    assert export(network, "torch-export", tmp_path).equal
    assert export(network, "safetensors", tmp_path).equal
