"""Fixtures of studies that several files read; who changes one takes a copy."""

import pytest

from studies.run import Request, run_search
from tests.conftest import write_small_space


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """A small search of twelve trials with finalists: the database's path."""
    folder = tmp_path_factory.mktemp("dashboard")
    run_search(
        Request(
            space=str(write_small_space(folder)), storage=f"sqlite:///{folder}/nas.db",
            evaluations=12, finalists=1, finalist_seeds=2, population=6, device="cpu", workers=1,
        )
    )  # fmt: skip
    return folder / "nas.db"
