"""What a search is asked to do, and how that is recorded in its study."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from nas.architecture.genome import Genome
from nas.architecture.space import SearchSpace
from nas.data.dataset import Data
from nas.data.load import SOURCES, load_data
from nas.errors import InputError
from nas.evaluation.own_file import OwnTraining
from nas.files.settings import from_mapping
from nas.proxy import Proxy
from nas.strategies.problem import Limits, Problem
from nas.tables.table import Table
from nas.tasks.table import find_task
from nas.training.version import TRAINER_VERSION
from studies.search.objectives import OBJECTIVES
from studies.search.screen import SCREENED_ON, Screen
from studies.store.names import COMMAND, DATA, GOAL, own_score

ALWAYS = (
    "space", "data", "strategy", "objectives", "seed", "lag", "population", "start", "limits",
    "fast", "plugins", "device",
)  # fmt: skip
"""Fields that every study records."""
EVALUATIONS = 100
"""What is asked for where nothing else is said."""


@dataclass(frozen=True)
class SearchSettings:
    """All that decides the results of a search. Budget, workers and finalists are not among it."""

    space: SearchSpace
    """Fitted to the data, its proxy resolved for the device."""
    data: Data
    strategy: str
    objectives: tuple[str, ...]
    seed: int
    lag: int
    limits: Limits
    device: Mapping[str, str]
    """Kind of device."""
    fast: bool = False
    population: int = 16
    pruner: str = "none"
    start: Genome | None = None
    """Evaluated after the hand-made patterns; its mutants are the first population."""
    plugins: Mapping[Path, str] = field(default_factory=dict)
    """Hash of every plugin by its path."""
    screen: Screen | None = None
    inherit: bool = False
    """Whether children start from their first parents' weights."""
    imported: str = ""
    """Digest of the earlier evaluations that are its history (`studies.foreign.imported`)."""
    evaluate: OwnTraining | None = None
    """What trains in the place of the framework's own training."""
    table: Table | None = None
    """What answers, so that nothing is trained."""

    def record(self) -> dict[str, Any]:
        """As nested JSON values, compared when a study is opened again.

        A field that is not among ALWAYS is left out where it has its default, as in studies from
        before it was there.
        """
        space = asdict(self.space)
        for name in ("proxy", "final"):  # finalists have a study of their own
            del space[name]
        space["data"] = Path(space["data"]).name  # wherever a folder lies
        for name in ("always", "period", "learning_rates", "sources"):
            if not space[name]:
                del space[name]
        told = {
            "space": space,
            "data": {
                "name": self.data.name,
                "fingerprint": self.data.fingerprint,
                "split_seed": self.data.split_seed,
            },
            "start": str(self.start) if self.start else None,
            "limits": asdict(self.limits),
            "plugins": {path.name: digest for path, digest in self.plugins.items()},
            "device": dict(self.device),
            "screen": str(self.screen) if self.screen else None,
            "evaluate": self.evaluate.record if self.evaluate else None,
            "table": f"{self.table.name} {self.table.checksum}" if self.table else None,
        }
        values = {
            option.name: told.get(option.name, getattr(self, option.name))
            for option in fields(self)
            if option.name in ALWAYS or getattr(self, option.name) != option.default
        }
        more = {"proxy": self.space.proxy.record(), "trainer": TRAINER_VERSION}
        if self.screen:
            more |= self.screen.scored_on(self.device)
        return json.loads(json.dumps({**values, **more}))

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], data: Data, device: Mapping[str, str],
        plugins: Mapping[Path, str], final: Proxy | None, evaluate: OwnTraining | None = None,
    ) -> SearchSettings:  # fmt: skip
        """The settings of a study, as they are with this data and on this machine.

        Args:
            final: the training of finalists, which is not recorded with the search.
            evaluate: the own training that the record names.

        Raises:
            InputError: the record needs what is not here, such as a plugin's merge.
        """
        values = {option.name: record.get(option.name, option.default) for option in fields(cls)}
        values |= {
            "space": replace(recorded_space(record), final=final),
            "data": data,
            "device": device,
            "plugins": plugins,
            "evaluate": evaluate,
            "objectives": tuple(record["objectives"]),
            "limits": from_mapping(Limits, record["limits"], "the study's limits"),
            "start": Genome.parse(record["start"]) if record["start"] else None,
            "screen": Screen.parse(record["screen"]) if "screen" in record else None,
        }
        return cls(**values)

    @property
    def digest(self) -> str:
        """Six characters that follow from the settings, the kinds of device left out."""
        kinds = ("device", SCREENED_ON)
        record = {key: value for key, value in self.record().items() if key not in kinds}
        text = json.dumps(record, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=3).hexdigest()

    @property
    def default_name(self) -> str:
        """A study name that follows from the settings: `digits9-b1ae2c`.

        Data are named where they are not the space's usual ones.
        """
        usual = self.data.name == Path(self.space.data).name
        data = "" if usual else f"-{self.data.name}"
        return f"{self.space.name}{data}-{self.digest}"

    @property
    def earlier_names(self) -> tuple[str, ...]:
        """The default names that earlier versions gave to the study of these settings."""
        space, digest = f"{self.space.name}-{self.data.name}", self.digest
        return f"{space}-{digest}", f"{space}-{self.strategy}-seed{self.seed}-{digest}"

    @property
    def metrics(self) -> list[str]:
        """Names of the objectives' values."""
        return [(own_score(name) or (name,))[0] for name in self.objectives]

    @property
    def sign(self) -> float:
        """-1 where the first objective is a score of the user's own that is to be minimised, else 1."""
        return (own_score(self.objectives[0]) or ("", 1.0))[1]

    @property
    def maximise(self) -> list[bool]:
        return [OBJECTIVES[name].maximise for name in self.objectives]

    @property
    def latencies(self) -> bool:
        """Whether an objective is a latency."""
        return any(OBJECTIVES[name].measured for name in self.objectives)

    def admitted(self, genome: Genome) -> bool:
        """Whether a pattern is within the limits; given ones may be outside, as references."""
        return self.limits.admit(genome, self.space)

    def problem(self) -> Problem:
        """What the strategy needs to know."""
        weights = tuple(1.0 if up else -1.0 for up in self.maximise)
        return Problem(self.space, weights, self.limits, self.population, start=self.start)


def recorded_space(record: Mapping[str, Any]) -> SearchSpace:
    """The space of a study from its record: fitted to its data, with its proxy.

    Raises:
        InputError: the record needs what is not here, such as a plugin's merge.
    """
    fields = {**record["space"], "proxy": record["proxy"]}
    return from_mapping(SearchSpace, fields, "the study's space")


def asked_evaluations(notes: Mapping[str, Any]) -> int:
    """How many evaluations a study was last asked for; earlier versions noted its command alone.

    0 for an own loop, which notes that no command asked for anything.
    """
    noted = (notes.get(GOAL) or {}).get("evaluations")
    words = shlex.split(notes.get(COMMAND) or "")
    asked = str(noted or dict(pairwise(words)).get("--evaluations"))
    if asked.isdecimal():
        return int(asked)
    return 0 if notes.get(COMMAND) == "" else EVALUATIONS


def place_of_data(notes: Mapping[str, Any], name: str) -> tuple[str | None, Path | None]:
    """What names a study's data on this machine (None: only the user knows), and their folder.

    Args:
        notes: the study's.
        name: of the data, as recorded.
    """
    note = notes.get(DATA) or {}
    if note.get("name") != name:  # of a study from before this was noted
        note = {}
    source: str | None = note.get("source") or (name if name in SOURCES else None)
    if source and source not in SOURCES and not Path(source).exists():
        source = None
    return source, Path(note["data_dir"]) if note.get("data_dir") else None


def recorded_data(
    record: Mapping[str, Any], notes: Mapping[str, Any], data: str | None, data_dir: Path | None
) -> Data:
    """The data of a study, known by their fingerprint.

    Args:
        record: the study's settings.
        notes: what it has noted, among it where its data lay.
        data: the folder or file that they are in, where they lie elsewhere now.

    Raises:
        InputError: they are not there, or not the study's.
    """
    recorded = record["data"]
    known, folder = place_of_data(notes, recorded["name"])
    name = data or known
    if name is None:
        raise InputError(
            f"the study was searched on {recorded['name']!r}, which is not where it was: name its "
            "folder or file with --data"
        )
    shape = record["space"]["skeleton"]["input_shape"]
    side = min(shape[1:] or shape)
    task = find_task(record["proxy"].get("task", Proxy.task))
    found = load_data(name, data_dir or folder, recorded["split_seed"], side, task)
    if found.fingerprint != recorded["fingerprint"]:
        raise InputError(
            f"--data {name}: not the data of the study (fingerprint {found.fingerprint}, "
            f"the study's is {recorded['fingerprint']})"
        )
    return found
