"""Promise 2, whatever the way to search: the same trials, whatever happens to the search.

Every strategy, every pruner, and what else decides what is tried, each against one undisturbed run.
"""

import os
import random
import shlex
import subprocess
from dataclasses import replace

import pytest

from studies.samplers.pruners import PRUNERS
from studies.samplers.strategies import STRATEGIES
from studies.search.run import run_search
from studies.store.storages import open_storage
from tests.conftest import write_small_space
from tests.helpers import NAS, killed
from tests.studies.searches import here, request, trials_of
from tests.task_spaces import SPACES as OTHERS
from tests.task_spaces import write_task_space

WAYS = {
    **{name: {"strategy": name} for name in STRATEGIES},
    **{f"pruner {name}": {"strategy": "tpe", "pruner": name} for name in PRUNERS if name != "none"},
    "regularized, pruned": {"pruner": "hyperband"},
    "screen": {"screen": "synflow:3"},
    "inherit": {"inherit": True},
    "inherit, crossed": {"inherit": True, "strategy": "mu-plus-lambda"},
    "finals": {
        "evaluations": 8, "contenders": 4, "contender_seeds": 1, "finalists": 1, "finalist_seeds": 2,
        "tuning_seeds": 1,
    },
    "loss": {"objectives": "loss"},
    "motifs and rates": {"strategy": "mu-plus-lambda"},
    "language": {},
    "denoising": {"inherit": True},
    "segmentation": {"strategy": "tpe"},
    "vit": {"inherit": True},
    "convnext": {"inherit": True},
}  # fmt: skip
"""What is asked for beside the usual, by the name of the way."""
SPACES = {
    "motifs and rates": "period = 2\nlearning_rates = [0.02, 0.1]\n",
    "finals": "learning_rates = [0.02, 0.1]\n",
}
"""What the `[space]` has beside the usual."""


def asked(way, folder, storage, **more):
    if way in OTHERS:
        space = write_task_space(way, folder)
        return request(space, storage, **{"evaluations": 18, "lag": 4, **WAYS[way], **more})
    small = write_small_space(folder)
    if "pruner" in WAYS[way]:  # which needs epochs to save
        small.write_text(small.read_text().replace("epochs = 2", "epochs = 4", 1))
    small.write_text(small.read_text().replace("[space]\n", f"[space]\n{SPACES.get(way, '')}"))
    return request(small, storage, **{"evaluations": 18, "lag": 4, **WAYS[way], **more})


def every_trial(storage):
    """Those of the search and of the studies beside it, by the study's name."""
    names = [study.study_name for study in open_storage(storage).get_all_studies()]
    return {name: trials_of(storage, name) for name in names}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A function: the trials of a way, searched once."""
    found = {}

    def search(way):
        if way not in found:
            folder = tmp_path_factory.mktemp("undisturbed")
            storage = f"sqlite:///{folder}/a.db"
            run_search(asked(way, folder, storage), make_pool=here)
            found[way] = every_trial(storage)
        return found[way]

    return search


def command(wanted):
    return shlex.split(wanted.command)[1:]


def resumed(wanted, rng):
    """By two workers until the middle, then by three."""
    half = replace(wanted, workers=2, evaluations=wanted.evaluations // 2, finalists=0)
    run_search(half, make_pool=here)
    run_search(replace(wanted, workers=3), make_pool=here)


def by_processes(wanted, rng):
    run_search(replace(wanted, workers=2))


def killed_and_resumed(wanted, rng, whom=("group", "parent")):
    """Killed as a whole, then only what leads; nothing that it had said is lost."""
    moments = sorted(rng.choices(range(1, wanted.evaluations - 2), k=len(whom)))
    for moment, victim in zip(moments, whom, strict=True):
        before, arguments = finished(wanted.storage), command(replace(wanted, workers=2))
        wait = max(1, moment - before)
        said = killed(arguments, "evaluated", wait, victim, seconds=0.2 * rng.random())
        assert finished(wanted.storage) >= before + sum(s["event"] == "evaluated" for s in said)
    subprocess.run([*NAS, *command(wanted), "--json"], check=True, capture_output=True)


def killed_often(wanted, rng):
    killed_and_resumed(wanted, rng, 12 * ("group",))


def known(storage):
    """The search's trials, if it has begun."""
    return min(every_trial(storage).items(), default=("", []))[1]


def finished(storage):
    return sum(trial[2] in ("COMPLETE", "PRUNED") for trial in known(storage))


def on_ray(wanted, rng):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY")}
    arguments = command(replace(wanted, workers="ray:2"))
    subprocess.run([*NAS, *arguments, "--json"], check=True, capture_output=True, env=environment)


HAPPENINGS = {
    "resumed": resumed,
    "two processes": by_processes,
    "killed": killed_and_resumed,
    "killed often": killed_often,
    "journal": resumed,
    "postgresql": resumed,
    "ray": on_ray,
}
ORDINARY = {
    ("regularized", happening)
    for happening in HAPPENINGS
    if happening not in ("ray", "killed", "killed often")
}
"""Every storage in the ordinary tests; kills are slow ones."""
USUAL = (
    "regularized", "tpe", "motifs and rates",
)  # fmt: skip
"""Ways that are stopped and go on in the ordinary tests; the others are slow ones."""
EVERYWHERE = ("regularized", "tpe", "inherit", "finals")
"""Ways that are tried with all that may happen; what a storage or a pool does is no strategy's doing."""


def _ordinary(way, happening):
    return (way, happening) in ORDINARY or (happening == "resumed" and way in USUAL)


@pytest.mark.parametrize(
    ("way", "happening"),
    [
        pytest.param(
            way, happening,
            marks=() if _ordinary(way, happening) else pytest.mark.slow,
        )
        for way in WAYS
        for happening in HAPPENINGS
        if (way, happening) != ("finals", "killed often")
        and (way in EVERYWHERE or happening in ("resumed", "two processes", "killed"))
    ],
)  # fmt: skip
def test_the_same_trials(way, happening, undisturbed, tmp_path, request):
    storage = f"sqlite:///{tmp_path}/a.db"
    if happening == "journal":
        storage = f"{tmp_path}/a.log"
    elif happening == "postgresql":
        storage = request.getfixturevalue("postgresql")
    elif happening == "ray":
        pytest.importorskip("ray")
    rng = random.Random(f"{way} {happening}")
    HAPPENINGS[happening](asked(way, tmp_path, storage), rng)
    assert every_trial(storage) == undisturbed(way)


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=() if way in USUAL else pytest.mark.slow) for way in WAYS]
)
def test_it_is_what_was_asked_for(way, undisturbed):
    """The trials of a way show the way, or that they are equal would prove little."""
    trials = min(undisturbed(way).items())[1]
    more = WAYS[way]
    searched = [trial for trial in trials if not trial[5]["role"]]
    assert len(trials) == more.get("evaluations", 18)
    assert {trial[5]["strategy"] for trial in trials} == {more.get("strategy", "regularized")}
    assert any(trial[2] == "PRUNED" for trial in searched) == ("pruner" in more)
    assert all(trial[2] == "COMPLETE" for trial in trials if trial[5]["role"])
    assert all("screen_score" in trial[5] for trial in searched) == ("screen" in more)
    assert any("inherited_from" in trial[5] for trial in searched) == ("inherit" in more)
    assert len(undisturbed(way)) == (4 if "finalists" in more else 1)
