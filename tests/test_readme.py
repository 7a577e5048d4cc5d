"""What the README shows works."""

import re
import subprocess
import sys
from pathlib import Path

import click

from search_spaces import SPACES, load_space
from studies import cli

README = Path(__file__).parent.parent / "README.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_python_example_runs():
    example = next(block for block in blocks("python") if "from nas import Genome" in block)
    names = {}
    exec(example, names)
    assert names["genome"] in names["space"] or names["net"] is not None
    assert names["candidate"] in names["space"]


def test_the_example_space_loads(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(blocks("toml")[0])
    space = load_space(path, SPACES)
    assert space.skeleton.layers == 8
    assert space.proxy.resolution == 14


def test_the_example_merge_is_a_plugin(tmp_path):
    path = tmp_path / "my_merges.py"
    path.write_text(next(block for block in blocks("python") if "MERGES =" in block))
    code = (
        "import sys\n"
        "from nas import Genome, compile_network, plan\n"
        "from nas.plugins import load_plugin\n"
        "from search_spaces import SPACES\n"
        "load_plugin(sys.argv[1])\n"
        "genome, skeleton = Genome.parse('blend(1)*9'), SPACES['digits9'].skeleton\n"
        "network = compile_network(genome, skeleton)\n"
        "assert plan(genome, skeleton).params == sum(p.numel() for p in network.parameters())\n"
        "assert network.layers['3'].merge.weight.tolist() == [0.5] * 16\n"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True)


def test_commands_and_options_exist():
    lines = re.findall(r"^ *nas [^\n]*", "\n".join(blocks("bash")), re.MULTILINE)
    assert {line.split()[1] for line in lines} >= {
        "search",
        "dashboard",
        "report",
        "train",
        "export",
    }
    for line in lines:
        words = line.split("#")[0].split("|")[0].split()[1:]
        command = cli.app
        while words and words[0] in getattr(command, "commands", {}):
            _, command, _ = command.resolve_command(click.Context(command), [words.pop(0)])
        known = {option for parameter in command.params for option in parameter.opts}
        used = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", " ".join(words)))
        assert used <= known, line


def test_pictures_exist():
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README.read_text()):
        assert (README.parent / path).exists(), path
