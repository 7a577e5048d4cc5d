"""A storage that is full, locked, cut, foreign or old: one line, and what was recorded stays."""

import shutil
import sqlite3
import subprocess
import sys

import pytest

from nas import InputError
from nas.training.version import TRAINER_VERSION
from studies.cli import main
from studies.store.storages import open_storage
from studies.store.store import Store
from tests.studies.searches import command, request, run_search, trials_of


@pytest.fixture
def one_line(capsys, monkeypatch):
    """Runs a command that must fail, and gives the only line that it says on standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr().err.strip()
        assert ended.value.code == 2, said
        assert len(said.splitlines()) == 1, said
        return said

    return run


SMALL_DISK = """
mount -t tmpfs -o size={size} tmpfs {folder} || exit 77
cd {folder}
"$@" > {out}/full.out 2> {out}/full.err
echo $? > {out}/full.code
cp {name} {out}/full-{name}
mount -o remount,size=64m {folder}
"$@" > {out}/more.out 2> {out}/more.err || exit 1
cp {name} {out}/{name}
"""


@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param("nas.db", "200k", id="sqlite", marks=pytest.mark.slow),
        pytest.param("nas.log", "24k", id="journal", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_keeps_what_was_recorded_and_room_lets_it_go_on(
    undisturbed, small_toml, tmp_path, name, size
):
    folder = tmp_path / "disk"
    folder.mkdir()
    if not shutil.which("unshare"):
        pytest.skip("unshare is missing, with which a small file system is mounted")
    storage = f"sqlite:///{name}" if name.endswith(".db") else name
    script = SMALL_DISK.format(folder=folder, out=tmp_path, name=name, size=size)
    found = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", *command(small_toml, storage)],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    if "unshare" in found.stderr or found.returncode == 77:
        pytest.skip(f"a small file system cannot be mounted: {found.stderr.strip()}")
    assert found.returncode == 0, found.stderr + (tmp_path / "more.err").read_text()
    line = (tmp_path / "full.err").read_text().strip()
    assert (tmp_path / "full.code").read_text().strip() == "2", line
    assert len(line.splitlines()) == 1
    assert "full" in line or "No space left on device" in line
    assert "what was recorded is kept" in line
    half = (
        f"sqlite:///{tmp_path}/full-{name}" if name.endswith(".db") else f"{tmp_path}/full-{name}"
    )
    kept = [trial for trial in trials_of(half) if trial[2] == "COMPLETE"]
    assert kept == [t for t in undisturbed if t[0] in {one[0] for one in kept}]
    assert 0 < len(kept) < 24
    whole = f"sqlite:///{tmp_path}/{name}" if name.endswith(".db") else f"{tmp_path}/{name}"
    assert trials_of(whole) == undisturbed


@pytest.mark.slow
def test_a_lock_that_passes_is_waited_for_and_one_that_stays_is_a_line(
    one_line, small_toml, tmp_path
):
    path = tmp_path / "nas.db"
    storage = f"sqlite:///{path}"
    run_search(request(small_toml, storage, evaluations=3))
    before = trials_of(storage)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    arguments = command(small_toml, f"{storage}?timeout=1")
    assert "database is locked" in one_line(*arguments[3:])
    running = subprocess.Popen(
        command(small_toml, storage), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(12)
    other.execute("ROLLBACK")
    assert running.wait(300) == 0, running.stderr.read()
    running.stderr.close()
    assert trials_of(storage)[:3] == before
    assert len(trials_of(storage)) == 24


def test_a_cut_database_is_a_line(one_line, small_toml, tmp_path):
    path = tmp_path / "nas.db"
    storage = f"sqlite:///{path}"
    run_search(request(small_toml, storage, evaluations=4))
    content = path.read_bytes()
    for size in (len(content) // 2, 4096, 100, 10):
        path.write_bytes(content[:size])
        assert "--storage" in one_line("search", "--space", small_toml, "--storage", storage)
        assert path.read_bytes() == content[:size]
        for reading in (["report"], ["compare", "*"], ["train", "best:x"]):
            one_line(*reading, "--storage", storage)
    path.write_bytes(content)  # the copy that somebody kept
    run_search(request(small_toml, storage, evaluations=5))


@pytest.mark.slow
def test_a_journal_whose_last_line_is_cut_goes_on(undisturbed, small_toml, tmp_path):
    path = tmp_path / "nas.log"
    run_search(request(small_toml, str(path), evaluations=8))
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for keep in (-1, -2, -5):
        path.write_bytes(b"".join(lines[:keep]) + lines[keep][: len(lines[keep]) // 2])
        run_search(request(small_toml, str(path)))
        assert trials_of(str(path)) == undisturbed


def test_a_database_of_an_older_optuna_names_the_way_on(one_line, small_toml, tmp_path):
    path = tmp_path / "nas.db"
    run_search(request(small_toml, f"sqlite:///{path}", evaluations=3))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    database.close()
    line = one_line("search", "--space", small_toml, "--storage", f"sqlite:///{path}")
    assert "optuna storage upgrade" in line


def test_a_study_of_another_trainer_is_refused_and_named(small_toml, tmp_path):
    storage = f"sqlite:///{tmp_path}/nas.db"
    run_search(request(small_toml, storage, evaluations=3, study="old"))
    store = Store.load(open_storage(storage), "old")
    store.note("nas:settings", {**store.settings, "trainer": 1})
    with pytest.raises(InputError, match=f"trainer is 1, not {TRAINER_VERSION}; --study NAME"):
        run_search(request(small_toml, storage, study="old"))
    assert len(trials_of(storage, "old")) == 3


def test_a_file_that_is_no_database_is_a_line_and_stays(one_line, small_toml, tmp_path):
    path = tmp_path / "notes.db"
    path.write_text("my notes\n" * 500)
    line = one_line("search", "--space", small_toml, "--storage", f"sqlite:///{path}")
    assert "file is not a database" in line
    assert path.read_text() == "my notes\n" * 500
