"""Fixtures of studies that several files read; who changes one takes a copy."""

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest
import sqlalchemy

from studies.search.request import SearchRequest
from tests.conftest import write_small_space
from tests.studies.searches import request, run_search, trials_of


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """A small search of twelve trials with finalists: the database's path."""
    folder = tmp_path_factory.mktemp("dashboard")
    run_search(
        SearchRequest(
            space=str(write_small_space(folder)), storage=f"sqlite:///{folder}/nas.db",
            evaluations=12, contenders=0, finalists=1, finalist_seeds=2, tuning_seeds=0,
            population=6, device="cpu",
            workers=1,
        )
    )  # fmt: skip
    return folder / "nas.db"


@pytest.fixture(scope="session")
def _postgresql():
    """One server for all tests of a process, on a free port: its URL, less the database, and pg_ctl."""
    tools = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not tools:
        pytest.skip("PostgreSQL's server is not installed (Debian's package postgresql)")
    root = os.getuid() == 0
    if root and not shutil.which("runuser"):
        pytest.skip("PostgreSQL does not run as root, and runuser is missing")
    with tempfile.TemporaryDirectory(prefix="skipnas-pg-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        as_user = ["runuser", "-u", "postgres", "--"] if root else []
        if root:
            shutil.chown(folder, "postgres")

        def run(tool, *arguments):
            command = [*as_user, str(tools[-1].parent / tool), "-D", f"{folder}/data", *arguments]
            subprocess.run(command, check=True, capture_output=True, cwd="/")

        def control(*arguments):
            options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
            run("pg_ctl", "-w", "-o", options, "-l", f"{folder}/log", *arguments)

        run("initdb", "-U", "nas", "--auth=trust")
        control("start")
        try:
            yield f"postgresql+psycopg://nas@127.0.0.1:{port}", control
        finally:
            control("-m", "immediate", "stop")


@pytest.fixture
def postgresql_control(_postgresql):
    """Calls pg_ctl: `("restart", "-m", "immediate")`; who stops the server starts it again."""
    return _postgresql[1]


@pytest.fixture(scope="session")
def postgresql_server(_postgresql):
    """The server's URL, less the database."""
    return _postgresql[0]


@pytest.fixture
def postgresql(postgresql_server):
    """An empty database of the test's own, gone after it with whatever is still connected."""
    name = f"test_{uuid.uuid4().hex}"
    server = sqlalchemy.create_engine(
        f"{postgresql_server}/postgres", isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool
    )
    with server.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    yield f"{postgresql_server}/{name}"
    with server.connect() as connection:
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def undisturbed_storage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    storage = f"sqlite:///{folder}/undisturbed.db"
    run_search(request(write_small_space(folder), storage))
    return storage


@pytest.fixture(scope="session")
def undisturbed(undisturbed_storage):
    return trials_of(undisturbed_storage)
