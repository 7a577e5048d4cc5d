"""The password of a storage is in nothing that is printed, kept or written."""

import os
import subprocess
import sys

import pytest
import sqlalchemy

from studies.store.url import shown, storage_words
from tests.studies.searches import command

SECRET = "s3cr3t"
NAS = [sys.executable, "-c", "from studies.cli import main; main()"]


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("sqlite:///nas.db", "sqlite:///nas.db"),
        ("nas.log", "nas.log"),
        ("postgresql+psycopg://nas:s3cr3t@host:5432/nas", "postgresql+psycopg://nas:***@host:5432/nas"),
        ("postgresql://nas@host/nas", "postgresql://nas@host/nas"),
        ("postgresql://nas:s3cr3t@ho@st/nas", "postgresql://nas:***@st/nas"),
        ("postgresql://nas:s3cr3t/with:more@host:x/nas", "postgresql://nas:***@host:x/nas"),
        ("postgresql://host/nas?user=nas&password=s3cr3t&sslmode=x", "postgresql://host/nas?user=nas&password=***&sslmode=x"),
        ("postgresql://host/nas?sslpassword=s3cr3t", "postgresql://host/nas?sslpassword=***"),
        ("postgresql://host:5432/db?user=u&password=s3c@ret", "postgresql://host:5432/db?user=u&password=***"),
        ("mysql://host/nas?passwd=s3cr3t", "mysql://host/nas?passwd=***"),
        ("postgresql:nas:s3cr3t@host/nas", "postgresql:nas:***@host/nas"),
        ("postgresql://nas:s3\ncr3t@host/nas", "postgresql://nas:***@host/nas"),
        ("concat(1,3@0.5)", "concat(1,3@0.5)"),
        ("--storage=redis://:s3cr3t@host/0", "--storage=redis://:***@host/0"),
        ('bad dsn "postgresql://nas:s3cr3t@host/nas"', 'bad dsn "postgresql://nas:***@host/nas"'),
    ],
)  # fmt: skip
def test_what_is_shown_of_a_url(url, seen):
    assert shown(url) == seen


@pytest.mark.parametrize("usual", ["", "sqlite:///nas.db", "sqlite:///team.db"])
def test_a_printed_command_names_the_storage_that_it_would_not_take_by_itself(monkeypatch, usual):
    monkeypatch.setenv("NAS_STORAGE", usual)
    taken = usual or "sqlite:///nas.db"
    for url in ("sqlite:///nas.db", "sqlite:///team.db", "sqlite:///mine.db"):
        assert storage_words(url) == ([] if url == taken else ["--storage", url])


@pytest.fixture
def secret_url(postgresql):
    """The server trusts everybody, so any password is right."""
    return postgresql.replace("nas@", f"nas:{SECRET}@")


def said(folder, *arguments, environment=None, code=0):
    found = subprocess.run(
        [*NAS, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=200,
        check=False, env={**os.environ, **(environment or {})},
    )  # fmt: skip
    assert found.returncode == code, found.stderr
    return found.stdout + found.stderr


@pytest.mark.slow
def test_no_command_shows_or_keeps_it(small_toml, tmp_path, secret_url):
    search = command(small_toml, secret_url, "--study", "mine")[3:]
    search.remove("--json")
    search[search.index("--evaluations") + 1] = "6"
    texts = [
        said(tmp_path, *search),
        said(tmp_path, "worker", "--study", "mine", environment={"NAS_STORAGE": secret_url}),
        said(tmp_path, "report", "mine", "--storage", secret_url),
        said(tmp_path, "compare", "mine", "mine", "--storage", secret_url, code=2),
        said(tmp_path, "train", "best:mine", "--storage", secret_url, "--epochs", "1"),
        said(tmp_path, *search, "--seed", "7", code=2),
    ]
    assert "postgresql+psycopg://nas:***@" in texts[0]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".html" for path in written)
    for text in texts:
        assert SECRET not in text
    for path in written:
        assert SECRET.encode() not in path.read_bytes(), path
    with sqlalchemy.create_engine(secret_url).connect() as connection:
        for table in sqlalchemy.inspect(connection).get_table_names():
            for row in connection.execute(sqlalchemy.text(f'SELECT * FROM "{table}"')):
                assert SECRET not in repr(row), table


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://nas:s3cr3t@127.0.0.1:1/nas",
        "postgresql+psycopg://nas:s3cr3t@127.0.0.1:port/nas",
        "postgresql+nodriver://nas:s3cr3t@127.0.0.1/nas",
        "mysql://nas:s3cr3t@127.0.0.1/nas",
        "redis://:s3cr3t@127.0.0.1:1/0",
        "no-such-database://nas:s3cr3t@127.0.0.1/nas",
        "postgresql+psycopg://127.0.0.1:1/nas?password=s3cr3t",
        "postgresql+psycopg://127.0.0.1:1/nas?nonsense=s3cr3t&password=s3cr3t",
    ],
)
def test_no_error_shows_it(small_toml, tmp_path, url, monkeypatch, capsys):
    from studies.cli import main

    monkeypatch.chdir(tmp_path)
    for arguments in (
        ["search", "--space", str(small_toml), "--storage", url],
        ["report", "--storage", url],
        ["worker", "--study", "x", "--wait", "0", "--storage", url],
        ["train", "best:x", "--storage", url],
        ["dashboard", "--storage", url],
        ["compare", "x", "--storage", url],
        ["score", "--study", "x", "--storage", url],
    ):
        monkeypatch.setattr(sys, "argv", ["nas", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        err = capsys.readouterr().err.strip()
        assert ended.value.code == 2
        assert len(err.splitlines()) == 1
        assert SECRET not in err.replace("nonsense=s3cr3t", ""), err
