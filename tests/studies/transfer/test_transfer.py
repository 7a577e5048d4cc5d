"""A winner in other settings: what is trained, that it goes on, and that it is told."""

import numpy as np
import pytest

from nas import Genome, InputError, plan
from studies.analysis.facts import collect
from studies.search.settings import recorded_space
from studies.store.storages import open_storage
from studies.store.store import Store
from studies.transfer.run import TransferRequest, recorded_transfers, run_transfer
from tests.conftest import write_small_space
from tests.helpers import nas
from tests.studies.searches import request, run_search, trials_of
from tests.task_spaces import write_task_space


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """One with a search for motifs."""
    folder = tmp_path_factory.mktemp("transfer")
    toml = write_small_space(folder)
    motifs = "[space]\nperiod = 2\nlearning_rates = [0.02, 0.1]\n"
    toml.write_text(toml.read_text().replace("[space]\n", motifs))
    url = f"sqlite:///{folder}/a.db"
    run_search(
        request(toml, url, study="s", evaluations=8, finalists=1, finalist_seeds=2, tuning_seeds=1)
    )
    return url


def asked(storage, **more):
    values = {"tuning_seeds": 1, "seeds": 3, "workers": 1, "device": "cpu"}
    return TransferRequest(study="s", storage=storage, **{**values, **more})


def store_of(storage):
    return Store.load(open_storage(storage), "s")


@pytest.mark.slow
def test_twice_the_depth(storage):
    found = run_transfer(asked(storage, layers=8))
    rows = {row.name: row for row in found.finalists}
    assert rows["winner"].n == 3
    winner = min(store_of(storage).ranked(), key=lambda t: t.rank if t.ok else (2,))
    assert rows["winner"].genome.pattern == winner.genome.pattern.motif.tiled(8)
    assert rows["residual"].genome.pattern == Genome.residual(8)
    assert {one.genome.learning_rate for one in found.tuned} <= {0.02, 0.1}
    trials = store_of(storage).beside("finalists:8-layers").trials()
    assert {len(trial.genome) for trial in trials} == {8}
    own = {t.attrs["seed"] for t in store_of(storage).beside("finalists").trials()}
    assert not own & {t.attrs["seed"] for t in trials}


@pytest.mark.slow
def test_at_equal_size_and_trained_longer(storage):
    found = run_transfer(asked(storage, match="params", epochs=3))
    rows = {row.name: row for row in found.finalists}
    skeleton = recorded_space(store_of(storage).settings).skeleton
    assert rows["winner"].params == plan(rows["winner"].genome, skeleton).params
    assert all(row.params >= 0.99 * rows["winner"].params for row in rows.values())
    beside = store_of(storage).beside(f"finalists:{found.label}")
    assert beside.settings["proxy"]["epochs"] == 3
    again = {one.label: one.finalists for one in recorded_transfers(store_of(storage))}
    assert again[found.label] == found.finalists


@pytest.mark.slow
def test_transformers_at_equal_size(tmp_path):
    """The reference's MLPs are wider, and what is recorded of that is read."""
    toml, url = write_task_space("vit", tmp_path), f"sqlite:///{tmp_path}/a.db"
    merges = 'merges = ["concat"]\nalways = true'
    toml.write_text(toml.read_text().replace('merges = ["add", "scale"]', merges))
    run_search(request(toml, url, study="s", evaluations=4, finalists=0))
    found = run_transfer(asked(url, match="params", seeds=2))
    rows = {row.name: row for row in found.finalists}
    assert abs(rows["residual"].params / rows["winner"].params - 1) <= 0.01
    residual = plan(Genome.residual(4), recorded_space(store_of(url).settings).skeleton)
    assert residual.params < rows["residual"].params
    assert recorded_transfers(store_of(url))[0].finalists == found.finalists


def test_other_data_interrupted_and_told(storage, tmp_path, capsys):
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    images = (rng.integers(0, 90, (120, 8, 8)) + 80 * labels[:, None, None]).astype(np.uint8)
    np.savez(tmp_path / "shades.npz", images=images, labels=labels)
    wanted = asked(storage, data=str(tmp_path / "shades.npz"), images=40)
    told = []
    stopped = run_transfer(wanted, lambda *now: told.append(now), lambda: len(told) > 4)
    assert stopped is None
    done = len(trials_of(storage, f"s-tuning:{wanted.label}"))
    assert 0 < done < told[-1][2]
    found = run_transfer(wanted)
    assert {row.name for row in found.finalists} >= {"winner", "residual"}
    beside = store_of(storage).beside(f"finalists:{wanted.label}")
    assert beside.settings["skeleton"]["classes"] == 3
    assert beside.settings["data"]["name"] == "shades.npz"
    labels_told = [one.label for one in collect(store_of(storage), storage).transfers]
    assert wanted.label in labels_told
    page = tmp_path / "page.html"
    code, _, err = nas(capsys, "report", "s", "--storage", storage, "--out", page)
    assert code == 0, err
    assert wanted.label in page.read_text()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "name a setting"),
        ({"layers": 5}, "5 layers: the skeleton has 4"),
        ({"match": "watts"}, "--match"),
        ({"epochs": 0}, "--epochs 0"),
    ],
)
def test_what_cannot_be_is_one_line(storage, more, words):
    with pytest.raises(InputError, match=words):
        run_transfer(asked(storage, **more))
