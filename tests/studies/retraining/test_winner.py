"""nas train and nas export as a user meets them."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch

import nas.saving.exports
from nas import Genome, InputError, compile_network, load_network, save_network
from nas.files.safe import replacing
from nas.plugins import LOADED
from nas.retraining.retrain import fit
from nas.saving.classifier import Classifier
from nas.saving.exports import Exported
from search_spaces import SPACES
from studies.retraining.pattern import find_pattern
from studies.retraining.request import TrainRequest, find_data, long_proxy, prepare
from studies.search.request import SearchRequest as Search
from studies.search.settings import recorded_space
from studies.store.storages import existing_storage
from studies.store.store import Store
from studies.tracking.watchers import TrackedTraining
from tests.conftest import write_small_space
from tests.helpers import killed, refused
from tests.helpers import nas as run
from tests.studies.searches import run_search
from tests.training_helpers import CARD, CrashError, Stopping

SETTINGS = "nas:settings"


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """A storage with a small finished study, and its name."""
    folder = tmp_path_factory.mktemp("studied")
    storage = f"sqlite:///{folder}/nas.db"
    space = str(write_small_space(folder))
    search = Search(
        space=space, storage=storage, evaluations=6, contenders=0, finalists=1, finalist_seeds=1,
        workers=1, device="cpu", study="small",
    )  # fmt: skip
    run_search(search)
    return storage, "small"


@pytest.fixture
def place(studied, tmp_path, monkeypatch):
    """A folder of one's own with a copy of the study, as the working directory."""
    shutil.copy(studied[0].removeprefix("sqlite:///"), tmp_path / "nas.db")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(settings):
    """Changes what the copied study says that it was made with."""
    study = optuna.load_study(study_name="small", storage="sqlite:///nas.db")
    study.set_user_attr(SETTINGS, {**study.user_attrs[SETTINGS], **settings})


def trials():
    return Store.load(existing_storage("sqlite:///nas.db"), "small").trials()


def pattern(text, plugins=None):
    return find_pattern(text, None, None, "sqlite:///nas.db", plugins or {})


def best_by_hand():
    """The most accurate of the search's own trials; of equals the smaller, then the elder."""
    found = [t for t in trials() if t.state.name == "COMPLETE" and not t.attrs["role"]]
    return min(found, key=lambda t: (-t.attrs["accuracy"], t.attrs["params"], t.number))


TRAIN = ["train", "best:small", "--epochs", "6", "--images", "256", "--device", "cpu", "--json"]


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_kill_nine_in_mid_training_and_resume(place, capsys):
    code, out, _ = run(capsys, *TRAIN, "--out", "whole")
    assert code == 0
    whole = lines(out)
    assert [line["event"] for line in whole] == ["started", *["epoch"] * 6, "ended"]
    killed([*TRAIN[:-1], "--out", "parts"], "epoch", 2)
    assert not Path("parts/network.safetensors").exists()
    code, out, _ = run(capsys, *TRAIN, "--out", "parts")
    assert code == 0
    resumed = lines(out)
    assert 2 <= resumed[0]["epochs_done"] < 6
    for name in ("network.safetensors", "network.json", "curves.csv"):
        assert Path("parts", name).read_bytes() == Path("whole", name).read_bytes()
    for key in ("chosen_epoch", "validation_accuracy", "test_accuracy", "epochs"):
        assert resumed[-1][key] == whole[-1][key]
    network = load_network("parts")
    assert network.genome == best_by_hand().genome
    again = lines(run(capsys, *TRAIN, "--out", "parts")[1])
    assert [line["event"] for line in again] == ["ended"]
    assert again[0]["before"] is True


@pytest.mark.slow
def test_train_then_export(place, capsys):
    code, out, err = run(
        capsys, "train", "trial:small/1", "--epochs", 2, "--resolution", 6, "--patience", 5,
        "--device", "cpu",
    )  # fmt: skip
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    assert "Training trial 1 of small." in text
    assert "pictures 1×6×6; digits: 899 images to train, 449 to validate, 449 to test" in text
    assert "2 epochs, batch 32, learning rate 0.1, augment none, fp32, seed 0, cpu" in text
    assert "not as there: images, resolution, calibration images" in text
    (folder,) = Path("trained").iterdir()
    assert folder.name.startswith("small-trial1-")
    assert f"nas export {folder}" in text
    network = load_network(folder)
    assert network.genome == Genome.residual(4)  # the second trial of every search
    assert network.skeleton.input_shape == (1, 6, 6)
    assert network.card.classes == tuple("0123456789")
    code, out, err = run(capsys, "export", folder, "--format", "torch-export", "--out", "deploy")
    assert (code, err) == (0, "")
    assert "float32 (N, 1, 6, 6) from 0 to 255" in out
    assert "deploy/network.pt2: in a fresh process, logits differ by 0 at most" in out
    pictures = torch.randint(0, 256, (3, 1, 6, 6)).float()
    found = torch.export.load("deploy/network.pt2").module()(pictures)
    assert torch.allclose(found, network(pictures), atol=1e-4)


ALONE = """
import sys, torch
sys.modules |= dict.fromkeys(("nas", "search_spaces", "baselines", "studies"))
import importlib.util
spec = importlib.util.spec_from_file_location("winner", sys.argv[1])
winner = importlib.util.module_from_spec(spec)
spec.loader.exec_module(winner)
network = winner.load()
torch.save(network(torch.load("pictures.pt")).detach(), "logits.pt")
print(type(network).__name__, len(winner.CLASSES))
"""
"""What a user does who has no skipnas."""


@pytest.mark.slow
def test_a_studys_winner_as_source(place, capsys):
    export = "export", "best:small", "--storage", "sqlite:///nas.db", "--format", "python"
    assert "trained/ holds no training of trial" in refused(capsys, *export)
    for epochs in (1, 3):
        code, _, err = run(capsys, "train", "best:small", "--epochs", epochs, "--device", "cpu",
                           "--images", 256, "--quiet")  # fmt: skip
        assert (code, err) == (0, "")
    trained = [load_network(folder) for folder in Path("trained").iterdir()]
    best = max(trained, key=lambda one: one.card.training["validation_accuracy"])
    code, out, err = run(capsys, *export, "--out", "deploy")
    assert (code, err) == (0, "")
    assert "deploy/network.py: in a fresh process, logits differ by 0 at most" in out
    pictures = torch.randint(0, 256, (5, *best.skeleton.input_shape)).float()
    torch.save(pictures, "pictures.pt")
    command = [sys.executable, "-c", ALONE, "deploy/network.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "Network 10\n", done.stderr
    with torch.inference_mode():
        assert torch.equal(torch.load("logits.pt"), best(pictures))
    Path("deploy/network.py").write_text("# changed by hand")
    code, _, err = run(capsys, *export, "--out", "deploy")
    assert (code, err.count("\n")) == (2, 1)
    assert "holds something else; --out names another folder" in err


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({}, "initial weights, not trained"),
        ({"epochs": 3}, "trained, test accuracy not known"),
        ({"test_accuracy": None}, "trained, test accuracy not known"),
        ({"test_accuracy": 0.5}, "test accuracy 50.00 %"),
    ],
)
def test_what_is_said_of_a_network_that_somebody_saved(
    place, capsys, monkeypatch, small_space, training, said
):
    network = compile_network(Genome.residual(4), small_space.skeleton, 0)
    save_network(Classifier(network, replace(CARD, training=training)), place / "a.safetensors")
    monkeypatch.setattr(nas.saving.exports, "export", lambda *of: Exported("x", place, 0.0, 0.0))
    code, out, err = run(capsys, "export", "a.safetensors", "--format", "safetensors")
    assert (code, err) == (0, "")
    assert out.startswith(f"add(1)*4 ({said})")


def test_normalisation_is_of_the_training_images(place, capsys, digits):
    arguments = ["train", "add(1)*9", "--space", "digits9", "--epochs", 1, "--quiet", "--out", "a"]
    code, out, _ = run(capsys, *arguments, "--images", 100, "--device", "cpu")
    assert code == 0
    assert len(out.splitlines()) == 3
    card = load_network("a").card
    pixels = digits.images[digits.train].astype(np.float64)
    assert card.mean[0] == pytest.approx(pixels.mean(), rel=0.05)  # a tenth of the images
    assert card.std[0] == pytest.approx(pixels.std(), rel=0.05)
    assert "storage" not in json.dumps(dict(card.training))


def test_interrupted_and_diverged(place, capsys, monkeypatch):
    import nas.retraining.retrain

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    space, secret = str(write_small_space(place)), "postgresql://nas:s3cr3t@host/nas"
    with monkeypatch.context() as patched:
        patched.setattr(nas.retraining.retrain, "train", interrupt)
        told = run(capsys, "train", "add(1)*4", "--space", space, "--storage", secret)[2]
        code, _, err = run(capsys, *TRAIN)
    assert "--storage postgresql://nas:***@host/nas" in told.replace("'", "")
    assert code == 130
    assert "Go on with:\n  nas train best:small --epochs 6" in err
    code, out, _ = run(capsys, *TRAIN[:-1], "--learning-rate", "1e9", "--out", "wild")
    assert code == 1
    assert "The training diverged: the loss is not finite in epoch 1" in out
    code, out, _ = run(capsys, *TRAIN, "--learning-rate", "1e9", "--out", "wild")
    assert code == 1
    assert lines(out)[-1]["status"] == "diverged"
    assert run(capsys, "export", "wild")[0] == 2


def test_the_best_of_a_study(place):
    found = pattern("best:small")
    trial = best_by_hand()
    assert found.genome == trial.genome
    assert found.name == f"trial {trial.number} of small"
    assert f"{100 * trial.attrs['accuracy']:.2f} % validation" in found.note
    record = Store.load(existing_storage("sqlite:///nas.db"), "small").settings
    assert found.skeleton == recorded_space(record).skeleton
    assert (found.proxy.epochs, found.proxy.images, found.proxy.batch) == (2, 128, 32)
    assert found.proxy.learning_rate == 0.1  # [final] does not name one, and the default holds
    assert found.origin == {"study": "small", "trial": trial.number, "asked": "best:small"}
    change({"objectives": ["accuracy", "params"]})
    assert pattern("best:small").genome == trial.genome
    assert "by accuracy and params others may suit more" in pattern("best:small").note
    for trial in trials():
        assert pattern(f"trial:small/{trial.number}").genome == trial.genome


def test_a_long_training_is_the_finalists_on_all_images(place):
    found = pattern("best:small")
    proxy = long_proxy(found, TrainRequest())
    assert (proxy.epochs, proxy.images, proxy.resolution) == (30, None, None)
    assert (proxy.batch, proxy.learning_rate, proxy.precision) == (32, 0.1, "auto")
    asked = TrainRequest(
        epochs=7, batch=16, learning_rate=0.3, images=90, resolution=6, augment="crop"
    )
    proxy = long_proxy(found, asked)
    assert (proxy.epochs, proxy.batch, proxy.learning_rate) == (7, 16, 0.3)
    assert (proxy.images, proxy.resolution, proxy.augment) == (90, 6, "crop")
    asked = TrainRequest("-*9", space="fashion9", precision="bf16", data="digits", device="cpu")
    assert prepare(asked).settings.proxy.precision == "bf16"
    assert prepare(replace(asked, precision=None)).settings.proxy.precision == "fp32"  # 8×8 pixels
    space = find_pattern("-*9", "fashion9", None, "", {})
    assert (space.proxy, space.data) == (SPACES["fashion9"].final_proxy, "fashion-mnist")
    (place / "photos").mkdir()
    toml = write_small_space(place)
    toml.write_text(toml.read_text().replace('"digits"', '"photos"'))
    assert find_pattern("-*4", str(toml), None, "", {}).data == str(place / "photos")
    own = find_pattern(None, None, "cifar/resnet-20", "", {})
    assert (own.genome, own.data) == (Genome.residual(9), None)


def test_studies_that_need_what_is_not_there(place, monkeypatch):
    change({"plugins": {"mine.py": "abc"}})
    monkeypatch.setattr(Store, "trials", None)  # their merges may be the plugin's
    with pytest.raises(InputError, match=r"study 'small' needs the plugin mine\.py: .*--plugin"):
        pattern("best:small")
    monkeypatch.setitem(LOADED, "abc", "mine.py")
    with pytest.raises(InputError, match=r"--plugin mine\.py: it has changed .* made with abc"):
        pattern("best:small", {"mine.py": "def"})
    monkeypatch.undo()
    monkeypatch.chdir(place)
    monkeypatch.setitem(LOADED, "abc", "mine.py")
    assert pattern("best:small", {"mine.py": "abc"}).genome
    change({"plugins": {}, "data": {"name": "photos", "fingerprint": "f", "split_seed": 0}})
    with pytest.raises(InputError, match=r"name the data \('photos' in the study\) with --data"):
        find_data(pattern("best:small"), TrainRequest())
    with pytest.raises(InputError, match=r"'digits', split 0 \(fingerprint .*--other-data"):
        find_data(pattern("best:small"), TrainRequest(data="digits"))
    assert (
        find_data(pattern("best:small"), TrainRequest(data="digits", other_data=True)).name
        == "digits"
    )


def test_a_study_without_a_successful_trial(place):
    storage = existing_storage("sqlite:///nas.db")
    settings = Store.load(storage, "small").settings
    empty = Store.open(storage, "empty", settings, [True], ["accuracy"])
    with pytest.raises(InputError, match="'empty' has no successful trial of the search among 0"):
        pattern("best:empty")
    with pytest.raises(InputError, match="has no trial 0; it has none yet"):
        pattern("trial:empty/0")
    empty.add(0, Genome.parse("add(1)*4"), {"role": "", "params": 1})
    with pytest.raises(InputError, match="no successful trial of the search among 1"):
        pattern("best:empty")
    assert pattern("trial:empty/0").genome == Genome.parse("add(1)*4")


@pytest.mark.slow
def test_a_notation_may_begin_with_a_dash_and_have_any_letters(place, capsys):
    arguments = ["- channel(1)*8", "--space", "digits9", "--format", "safetensors"]
    code, out, _ = run(capsys, "export", *arguments)
    assert code == 0
    assert "initial weights, not trained" in out
    assert str(load_network("untrained.safetensors").genome) == "- channel(1)*8"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="No such file"), replacing(tmp_path / "no" / "a"):
        (tmp_path / "no" / "a").write_text("x")


def test_tensorboard_logs_hold_every_epoch_once(place):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    order = prepare(TrainRequest(pattern="best:small", epochs=4, images=256, device="cpu"))
    crashed = TrackedTraining(["tensorboard"], "small", Stopping(epochs=2))
    with pytest.raises(CrashError):
        fit(order.settings, place / "logged", "cpu", crashed)
    crashed.sender.flush(30)
    tracked = TrackedTraining(["tensorboard"], "small")
    fitted = fit(order.settings, place / "logged", "cpu", tracked)
    tracked.ended(fitted)
    events = accumulator.EventAccumulator("logged/tensorboard")
    events.Reload()
    for name, values in (
        ("accuracy/validation", fitted.curves.accuracies),
        ("loss/training", fitted.curves.losses),
        ("gradient norm/last layer", [last for _, last in fitted.curves.gradients]),
    ):
        found = events.Scalars(name)
        assert [event.step for event in found] == [1, 2, 3, 4]
        assert [event.value for event in found] == pytest.approx(values)
    rates = [event.value for event in events.Scalars("learning rate")]
    assert max(rates) < 0.1  # the peak, within the first epoch
    assert rates[-1] == pytest.approx(
        0.1 / (0.8 * 4 * 8)
    )  # the last of 32 steps, 0.8 of them decay


def test_without_tensorboard_it_is_one_line(place, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    code, _, err = run(capsys, *TRAIN, "--tensorboard")
    assert code == 2
    assert "pip install tensorboard" in err
