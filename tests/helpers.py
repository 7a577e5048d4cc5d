"""What tests of several folders use: the command in this process or another, killed ones, a card."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib import import_module

import pytest

from nas import plugins
from studies import cli

NAS = [sys.executable, "-c", "from studies.cli import main; main()"]
"""The command in a process of its own."""


def with_slow_gp(strategies):
    """Strategies to parametrise a test by; a Gaussian process is fitted in the slow tests alone."""
    return [pytest.param(s, marks=[pytest.mark.slow] * (s == "gp")) for s in strategies]


def nas(capsys, *arguments):
    """Runs the command in this process: (exit code, stdout, stderr)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["nas", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    out, err = capsys.readouterr()
    return ended.value.code, out, err


@contextmanager
def plugins_taken_away():
    """What plugins add within is gone after it."""
    owners = [getattr(import_module(module), name) for name, module in plugins.TABLES.items()]
    tables = [*owners, plugins.LOADED]
    before = [dict(table) for table in tables]
    try:
        yield
    finally:
        for table, entries in zip(tables, before, strict=True):
            table.clear()
            table.update(entries)


def refused(capsys, *arguments):
    """What a command says that must fail: one line on standard error, and exit code 2."""
    code, out, err = nas(capsys, *arguments)
    assert (code, out) == (2, ""), err
    assert err.startswith("error: "), err
    assert err.count("\n") == 1, err
    return err


def killed(arguments, event, count, whom="group", seconds=0.0):
    """Runs the command with --json, and ends it by signal 9 after so many events of a kind.

    Args:
        whom: dies, the `group` of the command and its workers, or the command alone, their `parent`.
        seconds: between the last of the events and the signal.

    Returns:
        The events that it printed, as far as they were read.
    """
    process = subprocess.Popen(
        [*NAS, *map(str, arguments), "--json"],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    said = []
    while sum(one["event"] == event for one in said) < count and (
        line := process.stdout.readline()
    ):
        said.append(json.loads(line))
    time.sleep(seconds)
    (os.killpg if whom == "group" else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return said
