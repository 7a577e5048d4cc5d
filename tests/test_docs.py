"""What the README and the pages of docs/ show works: blocks are run or checked, links lead somewhere.

A Python block that begins with `# NAME.py:` is a plugin, or a training of one's own where its command has
`--evaluate`, and a TOML block that begins with `# NAME.toml:` a
file that commands name. Both are written to a folder in which all commands and blocks then stand, beside a
study `my-study` in nas.db and a trained network in trained/winner.
"""

import random
import re
import runpy
import shlex
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import click
import pytest
import torch

from nas import Genome, compile_network, load_data, plan, score, wrap
from nas.architecture.skeletons.wrapped import MODELS
from nas.plugins import TABLES
from nas.strategies.mutations import MUTATIONS
from search_spaces import SPACES, load_plugins, load_space
from studies import cli
from tests.helpers import plugins_taken_away
from tests.test_architecture import NAS, STUDIES

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ROOT / "tests" / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"# ([\w-]+\.(?:py|toml)):")
BUDGET = (
    "--evaluations 6 --population 4 --contenders 0 --finalists 0 --workers 1 --device cpu "
    "--picture '' --quiet"
)
SMALL = """
base = "digits9"
[skeleton]
stages = [{layers = 2, width = 4}, {layers = 2, width = 8, stride = 2}]
[proxy]
epochs = 1
images = 100
"""


def title(page):
    return str(page.relative_to(ROOT))


def fences(page):
    return FENCE.findall(page.read_text())


def blocks(*languages):
    """Every block of these languages, as a parameter named by its page and number."""
    return [
        pytest.param(text, id=f"{title(page)}-{number}")
        for page in PAGES
        for number, (language, text) in enumerate(fences(page), 1)
        if language in languages
    ]


def prose(page):
    return FENCE.sub("", page.read_text())


def spans(page):
    """Inline code."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def file_of(text):
    found = NAMED.match(text)
    return found and found[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the blocks stand: the files that they name."""
    made = tmp_path_factory.mktemp("docs")
    (made / "small.toml").write_text(SMALL)
    for parameter in blocks("python", "toml"):
        (text,) = parameter.values
        name = file_of(text)
        if name:
            (made / name).write_text(text)
    return made


@pytest.fixture(scope="module")
def searched(folder):
    """The folder with a study and a trained network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        nas(f"search --space small.toml --study my-study {BUDGET}")
        little = "--epochs 1 --images 100 --device cpu --quiet"
        nas(f"train best:my-study --out trained/winner {little}")
        nas(f"train residual --space small.toml --out trained/residual {little}")
    return folder


@pytest.fixture
def tables():
    """What plugins add to, which is after a test what it was before."""
    with plugins_taken_away():
        yield


def nas(words):
    cli.app.main(shlex.split(words), standalone_mode=False)


def test_every_block_is_of_a_language_that_is_checked():
    for page in PAGES:
        assert page.read_text().count("```") == 2 * len(fences(page)), page
        assert {language for language, _ in fences(page)} <= {"python", "toml", "bash", ""}, page


@pytest.mark.parametrize("text", [p for p in blocks("python") if not file_of(p.values[0])])
def test_python_runs(text, searched, monkeypatch):
    monkeypatch.chdir(searched)
    exec(text, {"__name__": "__main__"})


@pytest.mark.parametrize("text", [p for p in blocks("python") if file_of(p.values[0])])
def test_plugins_are_used(text, searched, tables, monkeypatch):
    monkeypatch.chdir(searched)
    name = file_of(text)
    Path(name).write_text(text)  # another page may show one of the same name
    command = text.partition("\n")[0].partition(": nas ")[2]
    if "--evaluate" in command:
        nas(f"{command} --space small.toml --study {name} {BUDGET}")
    else:
        use_plugin(name)


@pytest.mark.parametrize("text", blocks("toml"))
def test_toml_loads(text, folder, tables, monkeypatch):
    monkeypatch.chdir(folder)
    given = tomllib.loads(text)
    load_plugins(re.findall(r"--plugin (\S+)", text.partition("\n")[0]))
    if "project" in given:
        assert given["project"]["entry-points"]["skipnas.plugins"]
        return
    path = folder / file_of(text)
    if "base" in given or isinstance(given.get("space"), dict):
        space = load_space(path, SPACES)
        assert space.skeleton.layers * space.size > 0
    else:
        context = command_of(["search"])[0].make_context("search", ["--config", str(path)])
        assert given.keys() <= context.params.keys()


@pytest.mark.parametrize("text", blocks("bash"))
def test_shell(text, folder, monkeypatch):
    monkeypatch.chdir(folder)
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for words in commands(text):
        for word in words:
            assert exists(word), word
        if Path(words[0]).name == "nas":
            command, rest = command_of(words[1:])
            command.make_context(words[1], [w.replace("$", "") for w in rest])


def commands(text):
    """The words of every simple command of a block, less what sets variables; loops' numbers are 1."""
    for line in re.sub(r"\$(seed|s)\b", "1", text).replace("\\\n", " ").splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        simple = []
        for word in [*words, ";"]:
            if word in {";", "|", "&&", "do", "done"}:
                if simple:
                    yield simple
                simple = []
            elif simple or not re.match(r"[A-Z_]+=", word):
                simple.append(word)


def command_of(words):
    """The command that words of a `nas` line call, and the words after its name."""
    command, words = cli.app, list(words)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        _, command, words = command.resolve_command(click.Context(command), words)
    return command, words


def exists(word):
    """Whether a path of this repository is there; true of all other words."""
    folders = "nas|search_spaces|baselines|studies|docs|tests"
    place = re.fullmatch(rf"(?:{folders})/[a-z_\d/.-]*", word)
    return not place or (ROOT / word).exists()


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_inline_code_is_right(page):
    for span in spans(page):
        assert exists(span), span
        if not span.startswith("nas "):
            continue
        command, rest = command_of(span.split()[1:])
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert {word for word in rest if word.startswith("-")} <= known, span


def slugs(page):
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_links_lead_somewhere(page):
    text = re.sub(r"`[^`\n]+`", "", prose(page))
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in slugs(target), link


def test_the_readme_is_a_door():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 180
    for page in (ROOT / "docs").glob("*.md"):
        assert f"](docs/{page.name})" in text
    for marker in ("main", "test"):  # .ci/run reads them
        assert f"<!-- {marker} command -->\n```bash\npython3 -m venv .venv && " in text


def test_every_picture_is_shown():
    shown = {
        Path(link).name for page in PAGES for link in re.findall(r"!\[.*?\]\((.+?)\)", prose(page))
    }
    assert {path.name for path in (ROOT / "docs" / "pictures").iterdir()} == shown


@pytest.mark.parametrize(
    ("column", "package", "floors"), [(2, "nas", NAS), (3, "studies", STUDIES)]
)
def test_the_page_shows_the_floors_of_the_tests(column, package, floors):
    lines = (ROOT / "docs" / "architecture.md").read_text().splitlines()
    cells = [line.split("|")[column].strip() for line in lines if re.match(r"\| \d", line)]
    there = {path.stem for path in (ROOT / package).iterdir()}
    assert [set(cell.split(", ")) for cell in cells if cell] == [floor & there for floor in floors]


def use_plugin(path):
    """Does with a plugin's entries what they are for."""
    added = {name: runpy.run_path(path).get(name, {}) for name in TABLES}
    load_plugins([path])
    makers = [name for name in ("make", "residual") if f"{path}:{name}" in MODELS]
    assert any(added.values()) or makers
    space, residual, digits = SPACES["digits9"], Genome.residual(9), load_data("digits")

    def compiles(notation, skeleton):
        genome = Genome.parse(notation)
        network = compile_network(genome, skeleton)
        assert network(torch.zeros(2, *skeleton.input_shape)).shape == (2, skeleton.classes)
        learnt = sum(parameter.numel() for parameter in network.parameters())
        assert plan(genome, skeleton).params == learnt

    for name in makers:
        wrapped = wrap(f"{path}:{name}", space.skeleton.input_shape, 10)
        compiles(" ".join(["graft(1)"] * wrapped.layers), wrapped)
    for name in added["MERGES"]:
        compiles(f"{name}(1)*9", space.skeleton)
        compiles(f"- {name}(1,2@0.5)*8", space.skeleton)
    for name in added["BLOCKS"]:
        compiles("add(1)*9", replace(space.skeleton, block=name))
        Path(f"{name}-block.toml").write_text(
            SMALL.replace("[proxy]", f'block = "{name}"\n[proxy]')
        )
        nas(f"search --space {name}-block.toml --plugin {path} --study {name} {BUDGET}")
    for name in added["STEMS"]:
        compiles("add(1)*9", replace(space.skeleton, stem=name))
    for name in added["SOURCES"]:
        assert len(load_data(name).test)
    for name in added["MUTATIONS"]:
        assert MUTATIONS[name](residual, space, random.Random(0)) in space
    for name in added["SCORES"]:
        assert isinstance(score(residual, space.skeleton, space.proxy, 0, digits, name), float)
    for name in added["SPACES"]:
        assert SPACES[name].sample(random.Random(0)) in SPACES[name]
    for name in added["STRATEGIES"]:
        nas(f"search --space small.toml --strategy {name} --plugin {path} --study {name} {BUDGET}")
