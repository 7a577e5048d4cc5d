"""What can be started from a page: the commands that a person would type, one at a time."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.errors import InputError

NAS = (sys.executable, "-c", "from studies.cli import main; main()")
COMMANDS = {
    "knock-out": ("report", "--knock-out", "--force", "--out", "{folder}/report.html"),
    "training": ("train",),
}
"""By kind; the study's name follows, where it cannot be taken for an option."""
LONGEST = 300
"""Characters of a line that are shown."""
GOING_SECONDS = 10.0
"""For a job to end once it is told to."""


@dataclass(frozen=True)
class Job:
    """A command that was started, and the file that it prints into."""

    kind: str
    study: str
    command: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def ending(self) -> str:
        """How it ended; empty while it runs."""
        if self.running:
            return ""
        code = self.process.returncode
        return "done" if code == 0 else f"ended with exit code {code}"

    @property
    def said(self) -> str:
        """The last line that it printed."""
        lines = self.log.read_text(errors="replace").split("\n")
        return next((line[:LONGEST] for line in reversed(lines) if line.strip()), "")


class Jobs:
    """Starts commands on the studies of one storage, and ends what runs when it is left.

    Args:
        url: the storage's; it goes to the commands as a variable, as other users see arguments.
        plugins: files that the commands get, too.
    """

    def __init__(self, url: str, plugins: Sequence[Path] = ()) -> None:
        self._url = url
        self._plugins = [word for path in plugins for word in ("--plugin", str(path))]
        self._folder = tempfile.TemporaryDirectory(prefix="skipnas-jobs-")
        self.last: Job | None = None

    def start(self, kind: str, study: str) -> Job:
        """Starts a command on a study.

        Raises:
            InputError: there is no such kind, or another runs.
        """
        if kind not in COMMANDS:
            raise InputError(f"{kind!r} cannot be started; {', '.join(COMMANDS)} can")
        if self.last and self.last.running:
            raise InputError(f"a {self.last.kind} of study {self.last.study!r} runs; one at a time")
        folder = Path(self._folder.name)
        words = [word.format(folder=folder) for word in COMMANDS[kind]]
        name = f"best:{study}" if kind == "training" else study
        words = [*words, *self._plugins, "--", name]
        log = folder / "output"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*NAS, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=os.environ | {"NAS_STORAGE": self._url},
            )  # fmt: skip
        self.last = Job(kind, study, shlex.join(["nas", *words]), process, log)
        return self.last

    def end(self) -> None:
        """Stops what runs, as Ctrl-C would; what it has recorded stays."""
        if self.last and self.last.running:
            self.last.process.terminate()
            try:
                self.last.process.wait(GOING_SECONDS)
            except subprocess.TimeoutExpired:
                self.last.process.kill()
                self.last.process.wait()
        self._folder.cleanup()
