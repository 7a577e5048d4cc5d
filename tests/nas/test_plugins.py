"""Plugins: what they add, and what they may not."""

from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from nas import Genome, InputError, SearchSpace, Skeleton, Stage, extend, plugins
from nas.architecture.merges import MERGES
from nas.architecture.skeletons.blocks import BLOCKS, STEMS
from nas.data.load import SOURCES
from nas.plugins import MOVED, TABLES, installed_plugins, load_plugin
from nas.strategies.problem import PastTrial, Problem
from nas.strategies.propose import STRATEGIES, find_strategy, propose
from search_spaces import SPACES


def test_a_file_adds_to_the_tables_once(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from nas.extend import Merge\nfrom search_spaces import SPACES as NAMED\n"
        "MERGES = {'added-here': Merge()}\nSPACES = {'s': NAMED['digits9']}\n"
    )
    digest = load_plugin(path)
    assert "added-here" in MERGES
    assert SPACES["s"] == SPACES["digits9"]
    assert load_plugin(path) == digest
    del MERGES["added-here"], SPACES["s"]


def test_what_extend_offers_is_what_the_tables_take():
    assert isinstance(MERGES["add"], extend.Merge)
    assert isinstance(BLOCKS["basic"], extend.Block)
    assert isinstance(STEMS["3x3"], extend.Stem)
    assert isinstance(SOURCES["digits"](Path()), extend.Raw)


@pytest.mark.parametrize(
    ("line", "new"),
    [
        ("from nas.merges import Merge, total", "nas.extend"),
        ("import nas.parts as parts", "nas.extend"),
        ("from nas import blocks", "nas.extend"),
        ("from nas.data import Raw, make_data", "nas.extend"),
        ("from nas.genome import Genome", "nas"),
        ("from nas.history import History", "nas.strategies.history"),
    ],
)
def test_old_imports_are_answered_with_the_new_place(tmp_path, line, new):
    path = tmp_path / "old.py"
    path.write_text(f"{line}\nMERGES = {{}}\n")
    with pytest.raises(InputError, match=f"; import from {new} instead$") as caught:
        load_plugin(path)
    assert "\n" not in str(caught.value)


def test_every_new_place_is_there():
    for new in MOVED.values():
        import_module(new)
    for name, module in TABLES.items():
        assert isinstance(getattr(import_module(module), name), dict)


def test_a_strategy_is_a_function_that_breeds_or_has_traits(tmp_path):
    path = tmp_path / "strategies.py"
    path.write_text(
        "from functools import partial\n"
        "from nas.strategies.problem import Proposal\n"
        "from nas.strategies.propose import Strategy, evolve\n"
        "def eldest(population, problem, rng):\n"
        "    return Proposal(problem.space.sample(rng), (population[0].number,))\n"
        "traits = Strategy(partial(evolve, eldest), several=True)\n"
        "STRATEGIES = {'eldest': eldest, 'unrelated': None, 'eldest-of-several': traits}\n"
    )
    load_plugin(path)
    space = SearchSpace(Skeleton((1, 8, 8), 10, (Stage(4, 4),)))
    problem = Problem(space, (1.0,), population=2)
    given = [Genome.plain(4), Genome.residual(4)]
    history = [PastTrial(k, genome, (0.5,), True, True) for k, genome in enumerate(given)]
    try:
        for name, parents in [("eldest", (0,)), ("unrelated", ()), ("eldest-of-several", (0,))]:
            assert propose(name, problem, history, 2, 0).parents == parents
            assert propose(name, problem, history, 2, 0, given=given[0]).genome == given[0]
        assert find_strategy("eldest").parents
        assert not find_strategy("eldest").several
        assert not find_strategy("unrelated").parents
        assert find_strategy("eldest-of-several").several
    finally:
        for name in ("eldest", "unrelated", "eldest-of-several"):
            del STRATEGIES[name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "defines none of the tables MERGES"),
        ("MERGES = {'add': 1}", "MERGES has an entry 'add' already"),
        ("raise OSError('no')", "OSError: no"),
        ("MERGES = ['mine']", r"MERGES is \['mine'\]; a dict of entries by name is expected"),
        ("MERGES = {1: 2}", "MERGES has the name 1; a string is expected"),
        (
            "from nas.extend import Merge\nclass M(Merge): pass\nMERGES = {'m': M}",
            r"MERGES\['m'\] is <class '.*M'>; an instance of a class over Merge is expected, such as M",
        ),
        ("BLOCKS = {'b': len}", r"BLOCKS\['b'\] is <built-in function len>; a Block is expected"),
        (
            "STRATEGIES = {'s': 1}",
            r"STRATEGIES\['s'\] is 1; a function \(population, problem, rng\)",
        ),
        ("SCORES = {'s': None}", r"SCORES\['s'\] is None; a function \(candidate\) -> number"),
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
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    assert [path.name for path in installed_plugins()] == ["merges.py"]
