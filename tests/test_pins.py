"""What is pinned because private parts of it are used: a new version is tried before it is allowed."""

import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PRIVATE = [
    (
        "optuna",
        "optuna.storages._rdb.models",
        "StudyModel StudyUserAttributeModel TrialModel TrialParamModel TrialValueModel "
        "TrialUserAttributeModel TrialSystemAttributeModel TrialIntermediateValueModel "
        "TrialHeartbeatModel",
    ),
    ("optuna", "optuna.study._frozen", "FrozenStudy"),
    (
        "optuna-dashboard",
        "optuna_dashboard._note",
        "get_note_from_system_attrs save_note_with_version",
    ),
]
"""Library, module and names that `studies` imports from it."""


@pytest.mark.parametrize(("library", "module", "names"), PRIVATE)
def test_a_library_whose_private_parts_are_used_is_pinned(library, module, names):
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    wanted = map(Requirement, tomllib.loads(text)["project"]["dependencies"])
    (pin,) = (one.specifier for one in wanted if one.name == library)
    assert {one.operator for one in pin} == {">=", "<"}
    assert pin.contains(version(library))
    for name in names.split():
        assert hasattr(import_module(module), name), name
