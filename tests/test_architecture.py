"""Who may import whom: two tables of floors, and what stays free of torch.

Imports inside functions count as those at the top of a file do, since they tie files together as much.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOP = [{"nas"}, {"search_spaces"}, {"baselines"}, {"studies"}]
NAS = [
    {"errors"},
    {"tasks"},
    {"proxy", "files", "workers", "statistics"},
    {"architecture"},
    {"network", "data", "drawing", "strategies"},
    {"kernels", "extend"},
    {"devices"},
    {"training"},
    {"predictors"},
    {"plugins"},
    {"evaluation", "saving", "own_model"},
    {"retraining", "tables"},
]
BASELINES = [{"networks", "torchvision"}, {"exercises"}]
STUDIES = [
    {"store"},
    {"formatting", "samplers"},
    {"finals", "foreign"},
    {"search"},
    {"knockouts", "retraining", "notebook", "speed", "transfer", "validity"},
    {"analysis", "dashboard", "tables"},
    {"report", "catalogue"},
    {"pages", "tracking"},
    {"cli"},
]
"""A folder or file imports what stands on the floors before its own, and nothing beside it."""
DOORS = {"nas.__main__"}
"""What is run and never imported: it may import everything."""
FLOORS = {"": TOP, "nas": NAS, "baselines": BASELINES, "studies": STUDIES}
WITHOUT_TORCH = {
    "errors", "tasks", "proxy", "files", "workers", "statistics", "architecture", "data", "drawing",
    "strategies", "predictors", "plugins",
}  # fmt: skip
HOMES = {
    "deap": "nas/strategies/population.py",
    "ray": "nas/workers/ray_cluster.py",
    "optuna": "studies/",
    "click": "studies/cli/",
}
MOST_MODULES = 13
MOST_LINES = 350


def sources():
    return sorted(path for part in TOP for name in part for path in (ROOT / name).rglob("*.py"))


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sources()}


def imported(path, nodes=None):
    """Modules that a file imports, at its top and inside functions; names resolved to modules."""
    for node in nodes or ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module or ""


def at_the_top(path):
    body = ast.parse(path.read_text()).body
    return [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]


def place(module, package):
    """Floor and room of a module within a package; None outside it."""
    words = module.split(".") if not package else module.removeprefix(f"{package}.").split(".")
    if package and not module.startswith(f"{package}."):
        return None
    floor = next((i for i, rooms in enumerate(FLOORS[package]) if words[0] in rooms), None)
    return None if floor is None else (floor, words[0])


@pytest.mark.parametrize("package", FLOORS)
def test_imports_point_down(package):
    wrong = []
    for module, path in MODULES.items():
        if module in DOORS:
            continue
        here = place(module, package)
        if here is None:
            assert not package or module == package or "." not in module or (
                module.split(".")[0] != package
            ), f"{module} stands on no floor"  # fmt: skip
            continue
        for target in imported(path):
            there = place(target, package)
            if there and there[1] != here[1] and there[0] >= here[0]:
                wrong.append(f"{module} -> {target}")
    assert not wrong


def test_doors_are_not_imported():
    assert {*MODULES} >= DOORS
    assert [path for path in sources() if DOORS & {*imported(path)}] == []


def test_no_cycles():
    graph = {
        module: {target for target in imported(path) if target in MODULES and target != module}
        for module, path in MODULES.items()
        if path.name != "__init__.py"
    }
    done = set()

    def visit(name, trail):
        assert name not in trail, " -> ".join([*trail, name])
        if name in done:
            return
        for target in graph.get(name, ()):
            visit(target, [*trail, name])
        done.add(name)

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize(("library", "home"), HOMES.items())
def test_a_library_lives_at_home(library, home):
    users = [
        str(path.relative_to(ROOT))
        for path in sources()
        if library in {name.split(".")[0] for name in imported(path)}
    ]
    assert users
    assert [user for user in users if not user.startswith(home)] == []


def test_folders_without_torch_import_none_at_the_top():
    for module, path in MODULES.items():
        room = place(module, "nas")
        if room and room[1] in WITHOUT_TORCH:
            assert "torch" not in {n.split(".")[0] for n in imported(path, at_the_top(path))}, path


def test_skeletons_and_genomes_need_no_torch():
    """Only the forward passes of merges use it, which are parts of the network."""
    users = {
        m for m, path in MODULES.items() if "torch" in {n.split(".")[0] for n in imported(path)}
    }
    assert {m for m in users if m.startswith("nas.architecture")} == {"nas.architecture.merges"}


@pytest.mark.parametrize(
    "module",
    [
        "nas", "nas.architecture.space", "nas.strategies.propose", "nas.predictors.zero_cost",
        "nas.plugins", "nas.data.load", "nas.drawing.figure", "search_spaces",
    ],
)  # fmt: skip
def test_modules_that_do_not_load_torch(module):
    code = f"import sys, {module}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_folders_and_files_are_small():
    for path in sources():
        assert len(path.read_text().splitlines()) <= MOST_LINES, path
    for folder in {path.parent for path in sources()}:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= MOST_MODULES or folder.name == "commands", folder
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder


def test_public_interface():
    import nas
    from search_spaces import SPACES

    for name in nas.__all__:
        assert getattr(nas, name) is not None
    space = SPACES["digits9"]
    genome = nas.Genome.parse("add(1)*4 - concat(1,3@0.5)*4")
    network = nas.compile_network(genome, space.skeleton, seed=0)
    assert sum(p.numel() for p in network.parameters()) == nas.plan(genome, space.skeleton).params
