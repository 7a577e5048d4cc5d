"""Who may import whom, and what stays free of torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "nas": set(),
    "search_spaces": {"nas"},
    "baselines": {"nas", "search_spaces"},
    "studies": {"nas", "search_spaces", "baselines"},
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def sources(folder):
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_folders_import_only_what_they_may(folder):
    for path in sources(folder):
        used = {name.split(".")[0] for name in imports(path)} & set(MAY_IMPORT)
        assert used <= MAY_IMPORT[folder] | {folder}, path


@pytest.mark.parametrize(
    ("package", "home"), [("deap", "nas/strategies/history.py"), ("ray", "nas/workers/ray_pool.py")]
)
def test_a_library_that_lives_in_one_file(package, home):
    users = [
        str(path.relative_to(ROOT))
        for folder in MAY_IMPORT
        for path in sources(folder)
        if package in {name.split(".")[0] for name in imports(path)}
    ]
    assert users == [home]


def test_optuna_lives_in_studies():
    for folder in ("nas", "search_spaces", "baselines"):
        for path in sources(folder):
            assert "optuna" not in {name.split(".")[0] for name in imports(path)}, path


@pytest.mark.parametrize(
    "module",
    [
        "nas", "nas.architecture.genome", "nas.architecture.skeletons.convolutional", "nas.architecture.plan", "nas.architecture.space", "nas.architecture.merges", "nas.predictors.zero_cost",
        "search_spaces",
    ],
)  # fmt: skip
def test_modules_that_do_not_load_torch(module):
    code = f"import sys, {module}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_cycles():
    modules = {}
    for folder in MAY_IMPORT:
        for path in sources(folder):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            top = [
                n for n in ast.parse(path.read_text()).body
                if isinstance(n, ast.Import | ast.ImportFrom)
            ]  # fmt: skip
            targets = set()
            for node in top:
                if isinstance(node, ast.ImportFrom) and node.module:
                    targets.add(node.module)
                    targets.update(f"{node.module}.{alias.name}" for alias in node.names)
            modules[name] = targets
    graph = {name: targets & set(modules) for name, targets in modules.items()}

    def visit(name, trail):
        assert name not in trail, " -> ".join([*trail, name])
        for target in graph[name]:
            visit(target, [*trail, name])

    for name in graph:
        visit(name, [])


def test_public_interface():
    import nas
    from search_spaces import SPACES

    for name in nas.__all__:
        assert getattr(nas, name) is not None
    space = SPACES["digits9"]
    genome = nas.Genome.parse("add(1)*4 - concat(1,3@0.5)*4")
    network = nas.compile_network(genome, space.skeleton, seed=0)
    assert sum(p.numel() for p in network.parameters()) == nas.plan(genome, space.skeleton).params
