"""What a study of another task says: its own score and examples, and when nothing was learnt."""

import re
from types import SimpleNamespace

import pytest

from nas.tasks.table import find_task
from studies import open_study
from studies.cli.progress import ConsoleWatcher
from studies.cli.tables import space_table
from studies.cli.terminal import make_console
from studies.dashboard.notes import BESIDE, note_beside, search_note
from studies.formatting import Score
from studies.report.write import write_report
from studies.search.verdict import verdict
from studies.store.names import SETTINGS
from studies.store.storages import open_storage
from tests.studies.searches import request as asked
from tests.studies.searches import run_search
from tests.task_spaces import write_task_space

FINALS = {"finalists": 1, "finalist_seeds": 2, "tuning_seeds": 1, "contenders": 2}


@pytest.fixture(scope="module", params=["language", "segmentation"])
def searched(request, tmp_path_factory):
    """A small search: the name of its task, its result, its storage."""
    folder = tmp_path_factory.mktemp(request.param)
    storage, space = f"sqlite:///{folder}/a.db", write_task_space(request.param, folder)
    return request.param, run_search(asked(space, storage, evaluations=6, **FINALS)), storage


def shown(result, storage, folder):
    """What a study shows, without the names of its settings and attributes."""
    page = write_report(result.study, storage, folder / "a.html").read_text(encoding="utf-8")
    page = re.sub(r"<(style|script).*?</\1>", "", page, flags=re.DOTALL)
    page = re.sub(r"(proxy|final)\.\w*images|<[^>]*>", " ", page)
    records = [study.user_attrs[SETTINGS] for study in open_storage(storage).get_all_studies()]
    notes = [note_beside(one, 1, 2, None) for one in records if {*BESIDE} & {*one}]
    note = search_note(open_study(result.study, storage), {})
    space = "\n".join(space_table(result.settings.space).columns[1].cells)
    return [page, note, space, *notes]


@pytest.mark.slow
def test_a_study_speaks_of_its_own_score_and_examples(searched, tmp_path):
    name, result, storage = searched
    task, found = find_task(name), shown(result, storage, tmp_path)
    assert len(found) == 6  # with notes of contenders, tuning and finalists
    for text in found:
        assert not re.search("accura|recognis", text)
        assert task.examples in text
        assert task.examples == "images" or not re.search(r"\bimages?\b", text)
    assert all(task.label in text for text in (*found[:2], *found[3:]))
    assert result.verdict.outcome == "chance"  # one epoch of 64 examples


OWN = """
def skips(run):
    return sum(len(layer.skips) for layer in run.genome.layers)
"""


@pytest.mark.slow
def test_a_training_of_ones_own_speaks_of_the_examples_that_it_reads(tmp_path, capsys):
    storage, space = f"sqlite:///{tmp_path}/a.db", write_task_space("language", tmp_path)
    (tmp_path / "mine.py").write_text(OWN)
    wanted = asked(
        space, storage, evaluate=f"{tmp_path}/mine.py:skips", evaluations=6, strategy="nsga2",
        objectives="score,params",
    )  # fmt: skip
    result = run_search(wanted, ConsoleWatcher(make_console(), wanted, False, None))
    said = capsys.readouterr().out
    assert "chosen by validation sequences" in said
    assert "front on validation sequences" in said
    for text in (said, *shown(result, storage, tmp_path)):
        assert not re.search(r"\bimages?\b", text)


@pytest.mark.parametrize(
    ("name", "guess", "better", "worse", "said"),
    [
        ("language", 4.8, -4.7, -4.9, "4.9 bits per character on the validation sequences"),
        ("denoising", 14.1, 15.0, 14.0, "a validation PSNR of 14 dB"),
        ("segmentation", 0.08, 0.2, 0.07, "a validation mean IoU of 0.07"),
    ],
)
def test_what_is_no_better_than_guessing_was_not_learnt(name, guess, better, worse, said):
    task = find_task(name)
    data = {"task": name, "guessing": {"validation": guess}}

    def judged(score, told):
        best = SimpleNamespace(number=3, attrs={"accuracy": score, "role": ""}, again=None, ok=True)
        return verdict(best, [], [], told, [f"{task.way}:{task.score}"])

    assert judged(better, data).outcome == "untested"
    nothing = judged(worse, data)
    assert nothing.outcome == "chance"
    assert said in nothing.sentence
    assert f"gives {task.show(task.sign * guess)};" in nothing.sentence
    for unknown in ({}, {"guessing": {"validation": 0.1}}):  # of classes, or nothing
        assert judged(worse, unknown).outcome == "untested"


@pytest.mark.parametrize(
    ("objective", "changes", "reached"),
    [
        ("min:bpc", "−0.5 bits per character", "2.131 bits per character on the test sequences"),
        ("max:psnr", "+0.5 dB", "a test PSNR of -2.131 dB"),
        ("max:miou", "+0.5 of mean IoU", "a test mean IoU of -2.131"),
        ("min:perplexity", "−0.5 of perplexity", "a test perplexity of 2.131"),
    ],
)
def test_scores_in_sentences(objective, changes, reached):
    score = Score.of([objective])
    assert score.changed(0.5) == changes
    assert score.reached(-2.131, "test") == reached
    assert Score.of(["max:f1"], "sequences").an == "a sequence"
    assert score.an == ("a sequence" if "bpc" in objective else "an image")
