"""The wheels: built by one command, and used where there is no source tree."""

import os
import platform
import re
import subprocess
import sys
import sysconfig
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("nas", "search_spaces", "baselines", "studies")
BUILDERS = ("hatchling", "ziglang")
LINUX = platform.system() == "Linux" and platform.machine() == "x86_64"
SEARCH = (
    "search --space digits9 --study small --evaluations 4 --population 4 --contenders 0 "
    "--finalists 0 --workers 1 --device cpu --quiet"
)


def test_python_m_nas_is_the_command():
    command = [sys.executable, "-m", "nas"]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: python -m nas ")
    assert "search" in done.stdout
    done = subprocess.run([*command, "serch"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "did you mean search" in done.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Both wheels by their platform, built from a copy of what git would hand on."""
    if not LINUX:
        pytest.skip("the kernels are compiled on Linux x86-64")
    copy = tmp_path_factory.mktemp("source")
    files = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(files, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    (copy / "nas" / "kernels" / "kernels-left.so").write_text("of an earlier build")
    here = all(map(find_spec, BUILDERS))  # else pip downloads them
    subprocess.run(
        ["bash", ".ci/wheels", *["--no-build-isolation"] * here],
        cwd=copy, check=True, env={**os.environ, "PYTHON": sys.executable},
    )  # fmt: skip
    made = {path.stem.split("-")[-1]: path for path in (copy / "dist").glob("*.whl")}
    assert set(made) == {"any", "manylinux_2_17_x86_64"}
    return made


def content(wheel):
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist()}


@pytest.mark.slow
def test_what_is_in_them(wheels):
    own = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so"
    }
    compiled = {f"nas/kernels/kernels-{name}.so" for name in ("avx2", "avx512", "bf16")}
    for platform_name, extra in (("any", set()), ("manylinux_2_17_x86_64", compiled)):
        inside = content(wheels[platform_name])
        assert {name for name in inside if ".dist-info/" not in name} == own | extra
        for name in extra:
            versions = re.findall(rb"GLIBC_(\d+)\.(\d+)", inside[name])
            assert versions
            assert max((int(major), int(minor)) for major, minor in versions) <= (2, 17)


@pytest.mark.slow
@pytest.mark.parametrize("platform_name", ["any", "manylinux_2_17_x86_64"])
def test_installed_without_a_source_tree(wheels, platform_name, tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*command):
        done = subprocess.run(
            [str(word) for word in command], cwd=tmp_path, env=env, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    place = tmp_path / "clean"
    run(sys.executable, "-m", "venv", "--without-pip", place)
    python, nas = place / "bin" / "python", place / "bin" / "nas"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index",
        wheels[platform_name])  # fmt: skip
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = "import nas, studies; print(nas.__file__); print(studies.__file__)"
    assert all(Path(line).is_relative_to(place) for line in run(python, "-c", where).splitlines())
    found = run(python, "-c", "from nas.kernels.library import variant; print(variant())").strip()
    assert bool(found) == (platform_name != "any" and _has_kernels())
    assert "digits9" in run(python, "-m", "nas", "spaces")
    assert "Best of 4" in run(nas, *SEARCH.split())
    run(nas, "report", "small")
    run(nas, "train", "best:small", "--epochs", 1, "--images", 100, "--device", "cpu", "--quiet")
    assert "network.py: in a fresh process" in run(
        nas, "export", "best:small", "--format", "python"
    )
    run(nas, "init", "mine.toml", "--data", "digits")


def _has_kernels():
    import torch

    return torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
