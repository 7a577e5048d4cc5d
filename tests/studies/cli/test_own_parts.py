"""Merges, blocks, data, strategies, scores of a user's own that are missing or wrong: one clear line."""

import itertools
import re
from dataclasses import replace

import pytest

from nas import InputError
from studies.dashboard.painter import Painter, Pictures
from studies.search.run import run_search
from studies.store.storages import open_storage, picture_folder
from tests.helpers import nas, plugins_taken_away, refused
from tests.studies.searches import here, request

fresh = (f"own{number}" for number in itertools.count())
"""Names that no plan is kept for."""


@pytest.fixture(autouse=True)
def tables():
    with plugins_taken_away():
        yield


@pytest.fixture
def name():
    return next(fresh)


def put(folder, name, text):
    """A plugin file whose NAME is the name of its entry."""
    path = folder / "own.py"
    path.write_text(text.replace("NAME", name))
    return path


def with_merge(small_toml, name):
    small_toml.write_text(small_toml.read_text().replace('"concat"', f'"{name}"'))


MERGE = """
import torch
from nas.extend import Merge, parts, total


class Own(Merge):
    def parts(self, site):
        return {}

    def forward(self, learnt, branch, skips, previous):
        return branch + total(skips)


MERGES = {"NAME": Own()}
"""
SHAPE = "a tensor of shape (2, 4, 8, 8) and torch.float32 is expected"
FORWARD = [
    ("None", f"returned None; {SHAPE}"),
    ("branch[:, :1]", f"returned a Tensor of shape (2, 1, 8, 8) and torch.float32; {SHAPE}"),
    ("branch.double()", f"returned a Tensor of shape (2, 4, 8, 8) and torch.float64; {SHAPE}"),
    ("{}['x']", "raised KeyError: 'x'"),
    ("branch.view(7)", "raised RuntimeError: "),
]
PARTS = [
    ("None", "returned None; a dict of parts by name is expected"),
    ("{'w': torch.nn.ReLU()}", "has 'w' = ReLU(); a part of nas.extend.parts, declared and not"),
    ("{}['x']", "raised KeyError: 'x'"),
    (
        "{'w': parts.Chain.of(a=parts.Conv(site.shape, 3), b=parts.Conv(site.shape, 3))}",
        "has 'b' for shape (4, 8, 8), but before it is (3, 8, 8)",
    ),
]


@pytest.mark.parametrize(("returned", "said"), FORWARD)
def test_a_merge_that_computes_something_else(small_toml, tmp_path, capsys, name, returned, said):
    text = MERGE.replace("branch + total(skips)", returned)
    path = put(tmp_path, name, text)
    with_merge(small_toml, name)
    whole = f"merge '{name}' (Own.forward in own.py) {said}"
    at = ["--space", small_toml, "--plugin", path]
    for command in (["show"], ["export", "--format", "safetensors"], ["train", "--epochs", "1"]):
        assert whole in refused(capsys, command[0], f"{name}(1)*4", *command[1:], *at)
    url = f"sqlite:///{tmp_path}/a.db"
    asked = request(small_toml, url, evaluations=10, population=3, plugins=(path,))
    result = run_search(asked, make_pool=here)
    theirs = [trial for trial in result.trials if f"{name}(" in str(trial.genome)]
    assert len(result.trials) == 10
    assert theirs
    for trial in result.trials:
        assert trial.attrs["status"] == ("failed" if trial in theirs else "ok")
    # The first layer with it may have another shape.
    start = re.escape(whole.split(" of shape ", maxsplit=1)[0].split("; ", maxsplit=1)[0])
    assert all(re.match(start, trial.attrs["why"]) for trial in theirs)


@pytest.mark.parametrize(("returned", "said"), PARTS)
def test_a_merge_that_declares_something_else(small_toml, tmp_path, capsys, name, returned, said):
    path = put(tmp_path, name, MERGE.replace("return {}", f"return {returned}"))
    with_merge(small_toml, name)
    at = ["--space", small_toml, "--plugin", path]
    whole = f"merge '{name}' (Own.parts in own.py) {said}"
    for command in ("show", "export", "train"):
        assert whole in refused(capsys, command, f"{name}(1)*4", *at)
    url = f"sqlite:///{tmp_path}/a.db"
    assert whole in refused(capsys, "search", *at, "--storage", url, "--device", "cpu")
    assert not (tmp_path / "a.db").exists()


BLOCK = """
import torch
from nas.extend import Block, Stem, parts


def own(inputs, width, stride, bias, norm):
    conv = parts.Conv(inputs, width, 3, stride, bias)
    return RETURNED


BLOCKS = {"NAME": Block(1, False, own)}
"""


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None", "returned None; a parts.Chain of at least one part is expected"),
        ("conv", "returned Conv("),
        ("parts.Chain.of()", "returned Chain(steps=()); a parts.Chain of at least one part"),
        ("parts.Chain.of(a=torch.nn.ReLU())", "has 'a' = ReLU(); a part of nas.extend.parts"),
        (
            "parts.Chain.of(a=parts.Conv(inputs, 7))",
            "ends with shape (7, 8, 8); (4, 8, 8) is expected",
        ),
        (
            "parts.Chain.of(a=conv, b=parts.Relu((9, 8, 8)))",
            "has 'b' for shape (9, 8, 8), but before it is (4, 8, 8)",
        ),
        ("parts.Nothing(conv)", "raised AttributeError: "),
    ],
)
def test_a_block_that_declares_something_else(small_toml, tmp_path, capsys, name, returned, said):
    path = put(tmp_path, name, BLOCK.replace("RETURNED", returned))
    text = small_toml.read_text().replace("classes = 10", f'classes = 10\nblock = "{name}"')
    small_toml.write_text(text)
    at = ["--space", small_toml, "--plugin", path]
    whole = f"block '{name}' (own in own.py) {said}"
    for command in ("show", "export", "train"):
        assert whole in refused(capsys, command, "add(1)*4", *at)
    url = f"sqlite:///{tmp_path}/a.db"
    assert whole in refused(capsys, "search", *at, "--storage", url, "--device", "cpu")
    assert not (tmp_path / "a.db").exists()


def test_a_stem_that_declares_something_else(small_toml, tmp_path, capsys, name):
    path = put(
        tmp_path, name,
        "from nas.extend import Stem\nSTEMS = {'NAME': Stem(1, lambda *given: given)}\n",
    )  # fmt: skip
    text = small_toml.read_text().replace("classes = 10", f'classes = 10\nstem = "{name}"')
    small_toml.write_text(text)
    said = refused(capsys, "show", "add(1)*4", "--space", small_toml, "--plugin", path)
    assert f"stem '{name}' (<lambda> in own.py) returned" in said


FUNCTIONS = {
    "strategy": (
        "STRATEGIES", "population, problem, rng", {"strategy": "NAME"},
        [
            ("None", "returned None; a Proposal with a Genome is expected"),
            ("rng.nothing", "raised AttributeError: "),
            ("Proposal(Genome.plain(3))", "proposed a genome of 3 layers; 4 are expected"),
        ],
    ),
    "data": (
        "SOURCES", "where", {"data": "NAME"},
        [
            ("None", "returned None; a Raw of images, labels and classes, or a text (str) is expected"),
            ("open(where / 'x' / 'y')", "raised "),
            ("Raw([[1]], [0], ('a', 'b'))", "returned {'images': [[1]]}; a numpy array"),
        ],
    ),
    "score": (
        "SCORES", "candidate", {"screen": "NAME:2"},
        [
            ("None", "returned None; a number is expected"),
            ("candidate.nothing", "raised AttributeError: "),
        ],
    ),
    "mutation": (
        "MUTATIONS", "genome, space, rng", {},
        [("None", "returned None; a Genome of 4 layers is expected"), ("1 / 0", "raised ZeroDivisionError: ")],
    ),
}  # fmt: skip
IMPORTS = """
from nas import Genome
from nas.extend import Raw
from nas.strategies.problem import Proposal
"""


@pytest.mark.parametrize(
    ("kind", "returned", "said"),
    [(kind, *case) for kind, (*_, cases) in FUNCTIONS.items() for case in cases],
)
def test_a_function_that_returns_something_else(small_toml, tmp_path, name, kind, returned, said):
    table, arguments, options, _ = FUNCTIONS[kind]
    path = put(
        tmp_path, name,
        f"{IMPORTS}\n\ndef own({arguments}):\n    return {returned}\n\n\n{table} = {{'NAME': own}}\n",
    )  # fmt: skip
    storage = f"sqlite:///{tmp_path}/a.db"
    asked = request(
        small_toml, storage, plugins=(path,), evaluations=30, population=2, lag=2,
        **{key: value.replace("NAME", name) for key, value in options.items()},
    )  # fmt: skip
    with pytest.raises(InputError) as caught:
        run_search(asked, make_pool=here)
    assert re.match(rf"{kind}.* \(own in own.py\) {re.escape(said)}", str(caught.value))
    assert "\n" not in str(caught.value)
    if kind == "data":
        assert not (tmp_path / "a.db").exists()


@pytest.fixture
def plugged(small_toml, tmp_path, capsys, name):
    """A study and a network with a merge of a user's own, whose file is not loaded any more."""
    path, url = put(tmp_path, name, MERGE), f"sqlite:///{tmp_path}/a.db"
    with_merge(small_toml, name)
    with plugins_taken_away():
        asked = request(small_toml, url, study="mine", evaluations=8, plugins=(path,))
        run_search(asked, make_pool=here)
        run_search(replace(asked, study="other", seed=1), make_pool=here)
        code, _, err = nas(
            capsys, "train", f"{name}(1)*4", "--space", small_toml, "--plugin", path, "--epochs", "1",
            "--device", "cpu", "--out", tmp_path / "trained", "--quiet",
        )  # fmt: skip
        assert code == 0, err
    return path, url


def test_every_command_names_the_plugin_that_is_missing(
    plugged, small_toml, tmp_path, capsys, name, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path, url = plugged
    at = ["--storage", url]
    for command in (
        ["report", "mine"], ["train", "best:mine"], ["train", "trial:mine/3"], ["score", "--study", "mine"],
        ["worker", "--study", "mine"], ["compare", "mine", "other"],
        ["search", "--space", small_toml, "--study", "mine"],
    ):  # fmt: skip
        assert "study 'mine' needs the plugin own.py: name the file with --plugin" in refused(
            capsys, *command, *at
        ), command
    said = refused(capsys, "export", tmp_path / "trained")
    assert f"needs the merge '{name}' of a plugin (own.py) that is not loaded" in said
    hint = "is it of a plugin? name its file with --plugin"
    for command in (
        ["show", f"{name}(1)*4"], ["search", "--space", small_toml, *at],
        ["train", f"{name}(1)*4", "--space", "digits9"], ["score", f"{name}(1)*9"],
        ["search", "--strategy", "greedy", *at], ["search", "--screen", "lean:4", *at],
        ["search", "--data", "stripes", *at], ["search", "--space", "mine", *at],
    ):  # fmt: skip
        assert hint in refused(capsys, *command), command
    code, out, _ = nas(capsys, "studies", *at)
    assert (code, "needs --plugin own.py" in out) == (0, True)
    folder = picture_folder(url)
    folder.mkdir()
    warnings = []
    Painter(open_storage(url), Pictures(folder), folder, url, warnings.append).look()
    assert warnings == [
        f"study {study}: no pictures and note (it needs --plugin own.py)"
        for study in ("other", "mine")
    ]
    code, out, _ = nas(capsys, "studies", "--plugin", path, *at)
    assert (code, "(trial" in out) == (0, True)


def test_a_study_goes_on_with_the_plugin_that_it_had(tmp_path, small_toml, capsys, name):
    path = put(
        tmp_path,
        name,
        "def own(genome, space, rng):\n    return genome\nMUTATIONS = {'NAME': own}\n",
    )
    url = f"sqlite:///{tmp_path}/a.db"
    asked = request(small_toml, url, study="mine", evaluations=4, plugins=(path,))
    with plugins_taken_away():
        run_search(asked, make_pool=here)
    at = ["--space", small_toml, "--study", "mine", "--storage", url, "--device", "cpu"]
    said = refused(capsys, "search", *at, "--population", "6")
    assert "study 'mine' needs the plugin own.py: name the file with --plugin" in said
    path.write_text(path.read_text() + "# changed\n")
    said = refused(capsys, "search", *at, "--population", "6", "--plugin", path)
    assert "--plugin own.py: it has changed" in said
