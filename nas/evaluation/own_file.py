"""A function of the user's own in a file, which is read once, when a search begins.

Workers run what was read then: editing the file changes no search that runs, and another content is
another study.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from nas.errors import InputError, brief, one_line, unknown
from nas.evaluation.own_scores import SCORE
from nas.files.safe import read_limited

LOADING = "_skipnas_loading"
"""What a module has while its file is run."""
FILE_BYTES = 1 << 20
"""Of the longest file that is read."""


@dataclass(frozen=True)
class OwnTraining:
    """A function in a file of the user's own, as the file was when it was read."""

    path: Path
    function: str
    source: bytes

    @classmethod
    def find(cls, text: str, place: str = "--evaluate") -> OwnTraining:
        """The function of `FILE.py:FUNCTION`.

        Raises:
            InputError: no such file or function, or what the file raises when it is run.
        """
        file, _, name = text.rpartition(":")
        if not file.endswith(".py") or not name.isidentifier():
            raise InputError(f"{place} {brief(text)}: write FILE.py:FUNCTION")
        path = Path(file)
        try:
            source = read_limited(path, FILE_BYTES)
        except InputError as error:
            raise InputError(f"{place} {error}") from None
        found = cls(path.resolve(), name, source)
        module = found._module(place)
        functions = [
            key
            for key, one in vars(module).items()
            if callable(one) and getattr(one, "__module__", "") == module.__name__
        ]
        if name not in vars(module):
            raise unknown("function", name, functions, place=f"{place} {path}")
        if not callable(getattr(module, name)) or isinstance(getattr(module, name), type):
            raise InputError(
                f"{place} {path}: {name} is {brief(getattr(module, name))}, no function"
            )
        return found

    @property
    def digest(self) -> str:
        return hashlib.blake2b(self.source, digest_size=8).hexdigest()

    @property
    def record(self) -> dict[str, str]:
        """As a study keeps it: file name, function, and a hash of the file."""
        return {"file": self.path.name, "function": self.function, "hash": self.digest}

    @property
    def place(self) -> str:
        """What names it on this machine."""
        return f"{self.path}:{self.function}"

    @property
    def scores(self) -> dict[str, str]:
        """Whether each of its scores is to be max or min, by name; the first one ranks."""
        return getattr(self.load(), "scores", {SCORE: "max"})

    def load(self) -> Callable[..., Any]:
        """The function; the file is run once a process."""
        return getattr(self._module("--evaluate"), self.function)

    def _module(self, place: str) -> ModuleType:
        name = f"skipnas_own_{self.digest}"
        if name in sys.modules:
            if getattr(sys.modules[name], LOADING, False):
                raise InputError(
                    f"{place} {self.path.name}: it searches when it is read; what it calls goes "
                    "under `if __name__ == '__main__':`"
                )
            return sys.modules[name]
        made = ModuleType(name)
        setattr(made, LOADING, True)
        made.__file__ = str(self.path)
        sys.modules[name] = made  # dataclasses of the file look it up
        try:
            exec(compile(self.source, str(self.path), "exec"), vars(made))
        except BaseException as error:
            del sys.modules[name]
            if not isinstance(error, Exception):
                raise
            said = one_line(f"{type(error).__name__}: {error}")
            raise InputError(f"{place} {self.path.name}: {said}") from None
        delattr(made, LOADING)
        return made
