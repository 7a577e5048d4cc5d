"""A long search whose workers are killed at random, and which is killed whole five times.

    python tests/benchmarks/soak.py --folder soak

It runs the search undisturbed and disturbed, compares all trials, and draws the memory of its
processes over time (soak/memory.png). Exit code 1 if a trial differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt

from studies.store.storages import open_storage
from studies.store.store import Store

MEASURED = {"seconds", "peak_bytes"}
STUDY = "soak"
SAMPLE_SECONDS = 2.0
KILLS = (15.0, 40.0)
"""Seconds between two workers' deaths, drawn evenly."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("soak"))
    parser.add_argument("--space", default="digits9")
    parser.add_argument("--evaluations", type=int, default=2000)
    parser.add_argument("--deaths", type=int, default=5, help="of the whole search")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    calm, wild = (asked.folder / name for name in ("undisturbed.db", "disturbed.db"))
    subprocess.run(command(asked, calm), check=True, stdout=subprocess.DEVNULL)
    found = disturbed(asked, wild)
    same = trials_of(calm) == trials_of(wild)
    draw(found, asked.folder / "memory.png")
    (asked.folder / "soak.json").write_text(json.dumps(found))
    print(f"{len(trials_of(wild))} trials, {'the same' if same else 'NOT THE SAME'} as undisturbed")
    print(f"{found['kills']} workers and {len(found['deaths'])} whole searches killed")
    for who in ("search", "workers"):
        series = [sample[who] for sample in found["samples"] if sample[who]]
        print(
            f"{who}: {series[len(series) // 10]:.0f} MB after a tenth, {series[-2]:.0f} at the end"
        )
    sys.exit(not same)


def command(asked: argparse.Namespace, path: Path) -> list[str]:
    return [
        sys.executable, "-c", "from studies.cli import main; main()", "search", "--json",
        "--space", asked.space, "--evaluations", str(asked.evaluations), "--finalists", "0",
        "--study", STUDY, "--storage", f"sqlite:///{path}", "--device", "cpu", "--picture", "",
    ]  # fmt: skip


def disturbed(asked: argparse.Namespace, path: Path) -> dict:
    """Runs the search to its end, with deaths, and samples memory in MB."""
    rng = random.Random("soak")
    moments = sorted(rng.sample(range(1, asked.evaluations), asked.deaths))
    found: dict = {"samples": [], "deaths": [], "kills": 0}
    started = time.monotonic()
    while True:
        said_in = path.with_suffix(".jsonl")
        with said_in.open("w") as out:
            process = subprocess.Popen(command(asked, path), stdout=out, start_new_session=True)
        said_by = said_in.open()
        done, rest, next_kill = None, "", time.monotonic() + rng.uniform(*KILLS)
        while process.poll() is None:
            time.sleep(SAMPLE_SECONDS)
            rest += said_by.read()
            *lines, rest = rest.split("\n")
            for said in map(json.loads, lines):
                done = said["done"] if said["event"] == "started" else done
                done += said["event"] == "evaluated"
            children = workers(process.pid)
            found["samples"].append(
                {
                    "seconds": time.monotonic() - started,
                    "search": megabytes([process.pid]),
                    "workers": megabytes(children),
                    "done": done,
                }
            )
            if done is not None and moments and done >= moments[0]:
                found["deaths"].append([time.monotonic() - started, done])
                moments.pop(0)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            elif children and time.monotonic() >= next_kill:
                os.kill(rng.choice(children), signal.SIGKILL)
                found["kills"] += 1
                next_kill = time.monotonic() + rng.uniform(*KILLS)
        said_by.close()
        if process.returncode == 0:
            return found
        assert process.returncode == -signal.SIGKILL, process.returncode


def workers(parent: int) -> list[int]:
    """The search's worker processes."""
    servers = [pid for pid in children(parent) if "forkserver" in proc(pid, "cmdline")]
    return [pid for server in servers for pid in children(server)]


def children(parent: int) -> list[int]:
    return [*map(int, proc(parent, f"task/{parent}/children").split())]


def megabytes(pids: list[int]) -> float:
    """Memory of processes; what they share is counted in each."""
    lines = [line for pid in pids for line in proc(pid, "status").splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def proc(pid: int, name: str) -> str:
    """What Linux says of a process; nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""


def trials_of(path: Path) -> list[tuple]:
    """All that the trials say, less the measurements of time and memory."""
    return [
        (
            trial.number, str(trial.genome), trial.state.name, trial.values, dict(trial.curve),
            {key: value for key, value in trial.attrs.items() if key not in MEASURED},
        )
        for trial in Store.load(open_storage(f"sqlite:///{path}"), STUDY).trials()
    ]  # fmt: skip


def draw(found: dict, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    minutes = [sample["seconds"] / 60 for sample in found["samples"]]
    for who, label in (("workers", "workers, together"), ("search", "search")):
        axes.plot(minutes, [sample[who] for sample in found["samples"]], label=label, linewidth=1)
    for index, (seconds, _) in enumerate(found["deaths"]):
        axes.axvline(
            seconds / 60, color="grey", linestyle="--", linewidth=1,
            label=None if index else "the whole search is killed",
        )  # fmt: skip
    axes.set(xlabel="minutes", ylabel="resident memory, MB", ylim=(0, None))
    last = found["samples"][-1]["done"]
    axes.set_title(f"{last} evaluations, {found['kills']} workers killed")
    axes.legend(loc="lower center", ncols=3, framealpha=1)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
