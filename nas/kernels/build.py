"""Compiles kernels.c for each kind of processor when the package is installed (a hook of hatchling).

The compiler is Clang as the package `ziglang` has it, so that every machine gets the same kernels
and needs no compiler of its own. By hand, in a checkout: `python nas/kernels/build.py`. Where
SKIPNAS_PURE is set, nothing is compiled, and the wheel is one for all machines.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

PURE = "SKIPNAS_PURE"
LIBC = "2.17"
"""Of glibc: the oldest that the kernels can be loaded with."""
TARGETS = {"avx2": "x86_64_v3", "avx512": "x86_64_v4", "bf16": "x86_64_v4+avx512bf16"}
"""Names of the compiled files, and the instructions in them."""
FLAGS = ("-O3", "-mprefer-vector-width=512", "-fvisibility=hidden", "-shared", "-fPIC", "-Wall", "-Werror")  # fmt: skip


def source_hash(folder: Path) -> str:
    """Of kernels.c, by which a compiled file is known to be of it."""
    return hashlib.blake2b((folder / "kernels.c").read_bytes(), digest_size=8).hexdigest()


def compile_kernels(folder: Path) -> list[Path]:
    """Compiles all variants beside kernels.c; none on a machine for which there are none."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return []
    made = []
    for name, processor in TARGETS.items():
        to = folder / f"kernels-{name}.so"
        part = to.with_suffix(
            f".{os.getpid()}.part"
        )  # what is in use is replaced, not written into
        command = [sys.executable, "-m", "ziglang", "cc", "-target", f"x86_64-linux-gnu.{LIBC}"]
        command += [f"-mcpu={processor}", f'-DSOURCE="{source_hash(folder)}"', *FLAGS]
        command += ["-o", str(part), str(folder / "kernels.c"), "-lm"]
        subprocess.run(command, check=True)
        part.replace(to)
        made.append(to)
    return made


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # by hand
    pass
else:

    class Kernels(BuildHookInterface):
        """Adds the compiled kernels to a wheel, or to the checkout of an editable install."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            if self.target_name != "wheel" or os.environ.get(PURE):
                return
            made = compile_kernels(Path(self.root) / "nas" / "kernels")
            if made:
                build_data["pure_python"] = False
                build_data["tag"] = f"py3-none-manylinux_{LIBC.replace('.', '_')}_x86_64"
                build_data["artifacts"] += [str(path.relative_to(self.root)) for path in made]


if __name__ == "__main__":
    print(*compile_kernels(Path(__file__).parent), sep="\n")
