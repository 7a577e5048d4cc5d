"""What the evaluations of a search share, here and on other machines."""

from dataclasses import replace
from pathlib import Path

import pytest

from nas import InputError
from nas.devices.device import device_kind, find_device
from nas.evaluation.jobs import EvaluationContext
from nas.predictors.zero_cost import SCORES

KIND = device_kind(find_device("cpu"))


@pytest.fixture
def context(small_space, digits):
    return EvaluationContext(small_space.skeleton, digits, ("cpu",))


def test_plugins_go_where_their_files_are_not(context, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "def travelled(candidate):\n    return 0.0\nSCORES = {'travelled': travelled}\n"
    )
    there = replace(context, plugins=(plugin,)).for_cluster(KIND)
    plugin.unlink()
    try:
        there.prepare("cpu")
        there.prepare("cpu")  # as for a further device
        assert Path(SCORES["travelled"].__code__.co_filename).name == "mine.py"
    finally:
        SCORES.pop("travelled", None)


def test_a_plugin_that_cannot_be_read(context):
    with pytest.raises(InputError, match=r"--plugin /nowhere/mine\.py: No such file"):
        replace(context, plugins=(Path("/nowhere/mine.py"),)).for_cluster(KIND)


def test_other_machines_must_compute_alike(context):
    context.for_cluster(KIND).prepare("cpu")
    with pytest.raises(InputError, match=r"computes with .*, but the search with .*torch 0.1"):
        context.for_cluster(KIND | {"torch": "0.1"}).prepare("cpu")
