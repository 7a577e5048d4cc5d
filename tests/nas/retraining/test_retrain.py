"""Long trainings: interrupted or not they end the same, and the test images are scored once."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

import nas.retraining.retrain as module
from nas import Genome, InputError, evaluate, load_network
from nas.devices.device import device_kind
from nas.retraining.checkpoint import read_checkpoint
from nas.retraining.retrain import fit
from nas.retraining.settings import RetrainSettings, chosen
from nas.training import lockstep, scoring
from nas.training.curves import Curves
from tests.training_helpers import CrashError, Stopping

GENOME = Genome.parse("- concat(1,2@0.5) add(1) add(2)")


@pytest.fixture(scope="module")
def settings(small_space, digits):
    proxy = replace(small_space.proxy, epochs=5, augment="crop", precision="fp32", images=200)
    kind = device_kind(torch.device("cpu"))
    return RetrainSettings(GENOME, small_space.skeleton, proxy, digits, kind, seed=3)


@pytest.fixture(scope="module")
def undisturbed(settings, tmp_path_factory):
    return fit(settings, tmp_path_factory.mktemp("undisturbed"), "cpu")


def files(fitted):
    """All that a training leaves, less the seconds."""
    result = json.loads((fitted.folder / "training.json").read_text())
    del result["seconds"]
    names = ("network.safetensors", "network.json", "curves.csv")
    return [result, *((fitted.folder / name).read_bytes() for name in names)]


def test_it_is_the_training_of_an_evaluation(undisturbed, settings, digits):
    """The long training is `evaluate`'s, and its test score that of the kept weights."""
    one = evaluate(GENOME, settings.skeleton, settings.proxy, 3, digits, "cpu")
    assert tuple(undisturbed.curves.accuracies) == one.accuracies
    assert tuple(undisturbed.curves.losses) == one.losses
    assert undisturbed.chosen == chosen(undisturbed.curves)
    network = load_network(undisturbed.folder)
    for indices, score in (
        (digits.test, undisturbed.test),
        (digits.validation, max(one.accuracies)),
    ):
        with torch.inference_mode():
            found = network(torch.from_numpy(digits.images[indices])).argmax(1).numpy()
        assert np.mean(found == digits.labels[indices]) == pytest.approx(score, abs=1e-9)
    assert network.card.training["test_accuracy"] == undisturbed.test
    assert network.card.training["settings"]["seed"] == 3
    assert not (undisturbed.folder / "checkpoint.safetensors").exists()


def test_the_curves_are_written(undisturbed):
    with (undisturbed.folder / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5]
    assert [float(row["validation_accuracy"]) for row in rows] == undisturbed.curves.accuracies
    assert [float(row["loss"]) for row in rows] == undisturbed.curves.losses
    with Image.open(undisturbed.folder / "curves.png") as picture:
        assert picture.size[0] > 800
        assert len(picture.convert("RGB").getcolors(10**6)) > 50


@pytest.mark.parametrize("stops", [[{"epochs": 1}, {"steps": 17}], [{"steps": 3}, {"epochs": 5}]])
def test_a_training_that_was_stopped_ends_the_same(undisturbed, settings, tmp_path, stops):
    began = []
    for stop in stops:
        watch = Stopping(**stop)
        with pytest.raises(CrashError):
            fit(settings, tmp_path, "cpu", watch)
        began.append(watch.began)
    assert began[0] == 0
    fitted = fit(settings, tmp_path, "cpu")
    assert files(fitted) == files(undisturbed)
    assert not fitted.before


def test_without_momentum_and_calibration(settings, tmp_path):
    threads = torch.get_num_threads()
    proxy = replace(settings.proxy, momentum=0.0, calibration_images=0, epochs=3)
    other = replace(settings, proxy=proxy)
    whole = fit(other, tmp_path / "a", "cpu")
    with pytest.raises(CrashError):
        fit(other, tmp_path / "b", "cpu", Stopping(epochs=2))
    assert files(fit(other, tmp_path / "b", "cpu")) == files(whole)
    assert torch.get_num_threads() == threads


@pytest.mark.gpu
def test_on_a_gpu(settings, tmp_path):
    kind = device_kind(torch.device("cuda"))
    other = replace(settings, proxy=replace(settings.proxy, precision="bf16"), device=kind)
    whole = fit(other, tmp_path / "a", "cuda")
    with pytest.raises(CrashError):
        fit(other, tmp_path / "b", "cuda", Stopping(epochs=2))
    assert files(fit(other, tmp_path / "b", "cuda")) == files(whole)


def test_a_training_that_ended_is_not_repeated(undisturbed, settings, monkeypatch):
    before = files(undisturbed)
    for name in ("train", "accuracy", "prepare"):
        monkeypatch.setattr(module, name, None)
    again = fit(settings, undisturbed.folder, "cpu", Stopping(steps=1))
    assert again.before
    assert again.test == undisturbed.test
    assert again.curves == undisturbed.curves
    assert files(again) == before


def test_the_test_images_are_scored_once(settings, tmp_path, monkeypatch):
    parts, real = [], module.prepare

    def counted(data, proxy, part, where):
        parts.append(part)
        return real(data, proxy, part, where)

    monkeypatch.setattr(module, "prepare", counted)
    with pytest.raises(CrashError):
        fit(settings, tmp_path, "cpu", Stopping(epochs=4))
    assert "test" not in parts
    fit(settings, tmp_path, "cpu")
    fit(settings, tmp_path, "cpu")
    assert parts.count("test") == 1


def test_settings_that_differ_are_named(undisturbed, settings, tmp_path, digits):
    with pytest.raises(CrashError):
        fit(settings, tmp_path, "cpu", Stopping(epochs=1))
    other = replace(settings, seed=4, proxy=replace(settings.proxy, epochs=6))
    for folder in (tmp_path, undisturbed.folder):
        with pytest.raises(InputError, match=r"seed is 3, not 4; training\.epochs is 5, not 6"):
            fit(other, folder, "cpu")
    (tmp_path / "checkpoint.safetensors").write_bytes(b"hello")
    with pytest.raises(InputError, match="not a readable safetensors file"):
        fit(settings, tmp_path, "cpu")
    (tmp_path / "checkpoint.safetensors").unlink()
    (tmp_path / "network.safetensors").write_bytes(b"precious")
    with pytest.raises(InputError, match="not of a training that ended here"):
        fit(settings, tmp_path, "cpu")
    assert (tmp_path / "network.safetensors").read_bytes() == b"precious"


def test_a_checkpoint_holds_the_best_weights(settings, tmp_path):
    with pytest.raises(CrashError):
        fit(settings, tmp_path, "cpu", Stopping(epochs=2))
    checkpoint = read_checkpoint(tmp_path)
    assert checkpoint is not None
    assert len(checkpoint.progress.curves.losses) == 2
    names = {name for name, _ in checkpoint.network.items()}
    assert names == checkpoint.best.keys()
    latest = chosen(checkpoint.progress.curves) == 2
    same = all(torch.equal(checkpoint.network[n], checkpoint.best[n]) for n in names)
    assert same == latest
    assert checkpoint.progress.momentum.keys() < names


def test_a_diverged_training_is_recorded(settings, tmp_path):
    wild = replace(settings, proxy=replace(settings.proxy, learning_rate=1e6, epochs=3))
    fitted = fit(wild, tmp_path, "cpu")
    assert "not finite in epoch" in fitted.curves.diverged
    assert (fitted.test, fitted.chosen, fitted.validation) == (None, 0, None)
    assert not fitted.weights.exists()
    json.loads(
        (tmp_path / "training.json").read_text(),
        parse_constant=lambda name: pytest.fail(f"{name} is not JSON"),
    )
    again = fit(wild, tmp_path, "cpu")
    assert again.before
    assert again.curves.diverged == fitted.curves.diverged


def test_two_processes_do_not_share_a_folder(settings, tmp_path):
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(InputError, match="another process trains in this folder"),
    ):
        fit(settings, tmp_path, "cpu")


def test_the_kept_epoch_is_the_best_and_of_equals_the_last():
    assert chosen(Curves(accuracies=[0.5, 0.7, 0.6, 0.7, 0.2])) == 4
    assert chosen(Curves(accuracies=[0.0])) == 1


def test_patience_counts_epochs_without_a_better_score(settings):
    patient = replace(settings, patience=2, proxy=replace(settings.proxy, epochs=9))
    for scores, over in (
        ([], False),
        ([0.5], False),
        ([0.5, 0.4], False),
        ([0.5, 0.4, 0.4], True),
        ([0.5, 0.4, 0.6, 0.6], False),
        ([0.5, 0.4, 0.6, 0.6, 0.6], True),
        ([0.1 * n for n in range(9)], True),
    ):
        assert patient.over(Curves(accuracies=scores)) == over, scores
    assert not replace(patient, patience=None).over(Curves(accuracies=[0.5] * 8))
    with pytest.raises(InputError, match="patience is 0"):
        replace(settings, patience=0)


def test_it_stops_early_and_says_so(settings, tmp_path, monkeypatch):
    """No epoch beats the first, so with a patience of 2 it ends after three."""
    count = len(settings.data.validation)
    scores = iter([count - 2, count // 2, count - 3, count])  # the last is the test's
    for user in (lockstep, scoring):
        monkeypatch.setattr(
            user, "score", lambda *_: (torch.tensor([next(scores)]), torch.ones(()))
        )
    fitted = fit(replace(settings, patience=2), tmp_path, "cpu")
    assert [round(a * count) for a in fitted.curves.accuracies] == [
        count - 2,
        count // 2,
        count - 3,
    ]
    assert fitted.curves.stopped
    assert fitted.chosen == 1
    assert json.loads((tmp_path / "training.json").read_text())["stopped_early"] is True
    first = load_network(tmp_path).network.state_dict()
    short = tmp_path / "short"
    proxy = settings.proxy
    monkeypatch.undo()
    with pytest.raises(CrashError):
        fit(replace(settings, proxy=proxy), short, "cpu", Stopping(epochs=1))
    checkpoint = read_checkpoint(short)
    assert checkpoint is not None
    assert all(torch.equal(first[name], t) for name, t in checkpoint.best.items())


def test_memory_that_ends_is_one_line(settings, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried …")

    monkeypatch.setattr(module, "train", full)
    with pytest.raises(InputError, match="does not fit into memory; a smaller --batch"):
        fit(settings, tmp_path, "cpu")


def test_the_digest_follows_the_settings_but_not_the_machine(settings):
    assert replace(settings, device={"type": "other"}).digest == settings.digest
    assert replace(settings, seed=4).digest != settings.digest
    assert replace(settings, patience=3).digest != settings.digest
