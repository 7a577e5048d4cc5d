"""A training of the user's own: what its function gets, and what may be told as a score."""

import random

import numpy as np
import pytest
import torch

from nas import Genome, InputError, returns
from nas.evaluation.own import evaluate_own
from nas.evaluation.own_file import OwnTraining
from nas.evaluation.own_scores import Scores, number

DRAWS = """
import random
import numpy as np
import torch
from nas import returns

@returns(drawn="min", part="max")
def train(run):
    images, labels = run.tensors("train")
    scored, _ = run.tensors(run.part)
    assert images.shape[1:] == (1, 8, 8) and len(images) == len(labels) == 128
    print("not a line of JSON")
    drawn = torch.rand(1).item() + np.random.rand() + random.random()
    first = next(iter(run.network.parameters())).sum().item()
    run.report(1, drawn)
    return {"drawn": drawn + first, "part": len(scored)}
"""


@pytest.fixture
def own(tmp_path):
    def write(text, name="train"):
        (tmp_path / "mine.py").write_text(text)
        return OwnTraining.find(f"{tmp_path}/mine.py:{name}")

    return write


def evaluated(own, space, data, seed=0, **more):
    genome = Genome.residual(space.skeleton.layers)
    return evaluate_own(own, genome, space.skeleton, space.proxy, seed, data, "cpu", **more)


def test_a_result_is_a_function_of_the_seed(own, small_space, digits, capfd):
    made = own(DRAWS)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state()
    first, again = (evaluated(made, small_space, digits) for _ in range(2))
    other = evaluated(made, small_space, digits, seed=1)
    assert first.scores == again.scores != other.scores
    assert first.accuracy == -first.scores["drawn"]  # to be minimised
    assert first.accuracies != (first.accuracy,)
    assert first.heeds_part
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.random.get_rng_state(), before[2])
    assert capfd.readouterr().out == ""


def test_the_part_to_score_on_is_told(own, small_space, digits):
    made = own(DRAWS)
    validation = evaluated(made, small_space, digits).scores["part"]
    test = evaluated(made, small_space, digits, part="test").scores["part"]
    assert (validation, test) == (len(digits.validation), len(digits.test))


def test_the_test_images_are_for_the_test(own, small_space, digits):
    with pytest.raises(InputError, match=r"unknown part 'test': .*allowed: train, validation"):
        evaluated(own("def train(run): run.tensors('test')"), small_space, digits)


def test_a_pruned_candidate_ends_at_its_report(own, small_space, digits):
    made = own(
        "def train(run):\n"
        "    for epoch in (1, 2, 3):\n"
        "        try: run.report(epoch, epoch / 10)\n"
        "        except Exception: pass\n"
        "    return 1.0\n"
    )
    found = evaluated(made, small_space, digits, on_epoch=lambda epoch, score: epoch == 2)
    assert (found.status, found.accuracies, found.scores) == ("pruned", (0.1, 0.2), {"score": 0.2})
    assert not found.heeds_part


def test_memory_that_ends_is_a_status(own, small_space, digits):
    made = own("def train(run): raise MemoryError('no room')")
    found = evaluated(made, small_space, digits)
    assert (found.status, found.why) == ("out of memory", "no room")


def test_workers_run_what_was_read(own, tmp_path):
    made = own("def train(run): return 1")
    (tmp_path / "mine.py").write_text("def train(run): return 2")
    assert made.load()(None) == 1
    assert OwnTraining.find(f"{tmp_path}/mine.py:train").digest != made.digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named"),
        ("def train(run:", "SyntaxError"),
        ("train = 3", "train is 3, no function"),
        ("def trian(run): ...", "unknown function 'train': did you mean trian"),
        ("from nas import returns\n@returns(f1='most')\ndef train(run): ...", "unknown way 'most'"),
        ("from nas import returns\n@returns()\ndef train(run): ...", "name the scores"),
    ],
)
def test_files_that_are_refused(own, text, said):
    with pytest.raises(InputError, match=said) as refused:
        own(text).scores  # noqa: B018
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["mine.py", "mine.py:", "mine:train", "mine.py:a.b", "gone.py:train"]
)
def test_places_that_are_refused(text):
    with pytest.raises(InputError, match="--evaluate"):
        OwnTraining.find(text)


def test_numbers_of_all_libraries_are_scores():
    told = (1, 0.5, np.float32(0.5), torch.tensor(0.5), np.array([0.5]))
    assert [number(one, "it is") for one in told] == [1.0, 0.5, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    "told", ["good", "0.5", None, float("nan"), float("inf"), 1j, [0.5], torch.ones(2), {"f1": 0.5}]
)
def test_what_is_no_score(told):
    with pytest.raises(InputError, match="train returned"):
        Scores({"score": "max"}).all(told, "train returned")


def test_scores_by_name_are_all_told():
    scores = Scores({"loss": "min", "f1": "max"})
    assert scores.all({"f1": 1, "loss": 2}, "it told") == {"loss": 2.0, "f1": 1.0}
    assert (scores.first, scores.sign) == ("loss", -1.0)
    for told in (0.5, {"loss": 2}, {"loss": 2, "f1": 1, "f2": 3}, {"loss": 2, "f1": "good"}):
        with pytest.raises(InputError):
            scores.all(told, "it told")


def test_a_function_is_named_by_its_scores():
    @returns(loss="min")
    def train(run): ...

    assert train.scores == {"loss": "min"}
