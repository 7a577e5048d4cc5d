"""Plugins: what they add, and what they may not."""

from importlib.metadata import EntryPoint

import pytest

from nas import InputError
from nas.architecture.merges import MERGES
from nas.plugins import installed_plugins, load_plugin


def test_a_file_adds_to_the_tables_once(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from nas.architecture.merges import Add\nMERGES = {'added-here': Add()}\nSPACES = {'s': 1}\n"
    )
    spaces = {}
    digest = load_plugin(path, SPACES=spaces)
    assert "added-here" in MERGES
    assert spaces == {"s": 1}
    assert load_plugin(path, SPACES=spaces) == digest
    del MERGES["added-here"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "defines none of the tables MERGES"),
        ("MERGES = {'add': 1}", "MERGES has an entry 'add' already"),
        ("raise OSError('no')", "OSError: no"),
        ("def (", "SyntaxError"),
    ],
)
def test_what_is_refused(tmp_path, text, message):
    path = tmp_path / "bad.py"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_plugin(path)


def test_entry_points_name_modules(monkeypatch):
    point = EntryPoint("demo", "nas.architecture.merges", "skipnas.plugins")
    monkeypatch.setattr("nas.plugins.entry_points", lambda group: [point])
    assert [path.name for path in installed_plugins()] == ["merges.py"]
