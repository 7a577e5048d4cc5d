"""The store: a study's settings and trials in an Optuna storage, its only state.

Trial k is created RUNNING together with its genome and a claim of the process that evaluates it, so a
study that was killed knows what it was about to evaluate, and several processes can work on one.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from nas.architecture.genome import Genome
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.errors import InputError, unknown
from nas.evaluation.result import Evaluation
from nas.files.settings import differences
from nas.plugins import check_loaded, check_own_training, check_plugins
from nas.proxy import Proxy
from studies.store.claims import BEAT_SECONDS, Claim, Presence
from studies.store.lease import Exclusive
from studies.store.names import (
    JUDGED,
    RECORDED,
    SETTINGS,
    beside_name,
    own_score,
    search_names,
    study_names,
)
from studies.store.trial import Foreign, Genes, Trial, further, measured, running_trial
from studies.store.trials import Trials, trials_in

REPORT_SECONDS = 5
"""Reports of epochs that follow each other faster are written together."""


class Store:
    """A study in a storage. Numbers are trial numbers, from 0; some may be other programs'."""

    def __init__(self, storage: BaseStorage, name: str, study_id: int) -> None:
        self.storage, self.name, self.study_id = storage, name, study_id
        self.records: Trials = trials_in(storage, study_id)
        self._finished: list[Trial | Foreign] = []
        self._unwritten: dict[int, tuple[dict[int, float], dict[str, Any]]] = {}
        self.report_seconds: float = REPORT_SECONDS
        self._reported = -float(REPORT_SECONDS)
        self._renewed = -float(BEAT_SECONDS)
        self._exclusive: Exclusive | None = None
        self.me = ""
        self._claims: dict[int, Claim] = {}
        """This process's, by number."""

    @classmethod
    def open(
        cls,
        storage: BaseStorage,
        name: str,
        settings: Mapping[str, Any],
        maximise: Sequence[bool],
        metrics: Sequence[str],
    ) -> Store:
        """Creates the study, or opens it if its settings are the same.

        Raises:
            InputError: the study has other settings (says which), or is not this program's.
        """
        settings = json.loads(json.dumps(settings))
        directions = [StudyDirection.MAXIMIZE if up else StudyDirection.MINIMIZE for up in maximise]
        if name not in study_names(storage):
            optuna.create_study(
                storage=storage, study_name=name, directions=directions, load_if_exists=True
            )
        study = optuna.load_study(storage=storage, study_name=name)
        if not study.user_attrs and not study.get_trials(deepcopy=False):
            trials_in(storage, study._study_id).note_first(SETTINGS, settings)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names(list(metrics))
        store = cls.load(storage, name)
        store.check(settings)
        return store

    @classmethod
    def load(cls, storage: BaseStorage, name: str) -> Store:
        """Opens an existing study.

        Raises:
            InputError: no such study (with the names there are), or not this program's.
        """
        if name not in study_names(storage):
            raise unknown("study", name, study_names(storage))
        store = cls(storage, name, storage.get_study_id_from_name(name))
        if SETTINGS not in storage.get_study_user_attrs(store.study_id):
            raise InputError(
                f"study {name!r} was not made by nas search; --study NAME makes another beside it"
            )
        return store

    @classmethod
    def load_search(cls, storage: BaseStorage, name: str) -> Store:
        """Opens the study of a search, and none of those beside one.

        Raises:
            InputError: no such study (with the searches there are), or not a search's.
        """
        if name not in study_names(storage):
            raise unknown("study", name, search_names(storage))
        store = cls.load(storage, name)
        store.searched()
        return store

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raises InputError, with what differs, if these are not the study's settings."""
        whose, own = f"study {self.name!r}", self.settings.get("plugins", {})
        check_plugins(own, settings.get("plugins", {}), whose)
        check_own_training(self.settings.get("evaluate"), settings.get("evaluate"), whose)
        differing = sorted(differences(self.settings, json.loads(json.dumps(settings))))
        if differing:
            raise InputError(
                f"study {self.name!r} was made with other settings: {'; '.join(differing)}; "
                "--study NAME starts another"
            )

    @property
    def settings(self) -> dict[str, Any]:
        return self.notes()[SETTINGS]

    def searched(self) -> dict[str, Any]:
        """The settings, if the study is a search's own and not one beside it.

        Raises:
            InputError: it holds finalists or the like (the message names the study to ask for), or
                needs a plugin that is not loaded.
        """
        settings = self.settings
        missing = [key for key in RECORDED if key not in settings]
        for key, value in settings.items():
            if key.endswith("_of"):
                what = key.removesuffix("_of").replace("_", " ")
                raise InputError(
                    f"study {self.name!r} holds the {what} of study {value!r}: name that one"
                )
        if missing:
            raise InputError(f"study {self.name!r}: its record has no {', '.join(missing)}")
        check_loaded(settings.get("plugins", ()), f"study {self.name!r}")
        return settings

    def beside(self, what: str) -> Store | None:
        """The study beside this one that holds its `contenders`, `finalists` or `knock-outs`, if any."""
        name = beside_name(self.name, what)
        return Store.load(self.storage, name) if name in study_names(self.storage) else None

    def open_beside(
        self, what: str, skeleton: AnySkeleton, proxy: Proxy, metric: str, **more: Any
    ) -> Store:
        """Creates or opens a study beside this one, whose trainings are like this one's.

        Args:
            metric: the name of its one score, which is maximised; a search's own score has its own name,
                with a minus where it is to be minimised.
            more: what else decides its scores.

        Raises:
            InputError: it was made with other settings.
        """
        own = self.settings
        record = {key: own[key] for key in ("data", "fast", "plugins", "trainer", "device")}
        record |= {"evaluate": own["evaluate"]} if "evaluate" in own else {}
        record |= {f"{what}_of": self.name, "skeleton": asdict(skeleton), "proxy": proxy.record()}
        name, score = beside_name(self.name, what), own_score(own["objectives"][0])
        if score:
            metric = metric.replace("accuracy", f"{'-' if score[1] < 0 else ''}{score[0]}")
        return Store.open(self.storage, name, record | more, [True], [metric])

    def note(self, key: str, value: Any) -> None:
        """Keeps something beside the settings, such as versions."""
        self.storage.set_study_user_attr(self.study_id, key, value)

    def notes(self) -> dict[str, Any]:
        """The settings and all that was noted, by key."""
        return self.storage.get_study_user_attrs(self.study_id)

    def trials(self) -> list[Trial]:
        """The trials of this program, by number."""
        return [trial for trial in self.everything() if isinstance(trial, Trial)]

    def everything(self) -> list[Trial | Foreign]:
        """All trials, the first has number 0. Those that had finished when last read are not read again."""
        trials = [*self._finished, *self.records.read(len(self._finished))]
        running = (trial.number for trial in trials if not trial.state.is_finished())
        self._finished = trials[: next(running, len(trials))]
        return trials

    def ranked(self) -> list[Trial]:
        """All trials by number, with what further trainings have found of the best."""
        return further(self.trials(), self.notes())

    @property
    def maximise(self) -> list[bool]:
        """Of every objective, whether it is."""
        directions = self.storage.get_study_directions(self.study_id)
        return [direction == StudyDirection.MAXIMIZE for direction in directions]

    def add(
        self,
        number: int,
        genome: Genome,
        attrs: Mapping[str, Any],
        genes: Genes | None = None,
        memory: Mapping[str, Any] | None = None,
    ) -> bool:
        """Creates trial `number` RUNNING.

        Args:
            attrs: kept as user attributes.
            genes: its parameters, where it lies in the space that is searched.
            memory: kept as system attributes.

        Returns:
            Whether it was created; another process may have been faster.
        """
        claim, template = Claim(self.me), running_trial(genome, attrs, genes, memory)
        created = self.records.create(number, template, claim)
        if created:
            self._claims[number] = claim
        return created

    def begin_waiting(
        self, number: int, genome: Genome, attrs: Mapping[str, Any], genes: Genes | None
    ) -> bool:
        """Makes a trial that another program enqueued one of this; False if somebody was faster."""
        claim, template = Claim(self.me), running_trial(genome, attrs, genes, None)
        if not self.records.begin_waiting(number, template, claim):
            return False
        self._claims[number] = claim
        return True

    def together(self) -> AbstractContextManager[None]:
        """What is added and finished within is one write, where the storage allows it."""
        return self.records.together()

    def take_lost(self) -> list[tuple[Trial, int]]:
        """Claims the running trials of processes that are gone, and says how often each was claimed."""
        taken = {}
        for one in self.records.claims():
            if one.number in self._claims or not one.free():
                continue
            claim = Claim(self.me, one.claim.times + 1 if one.claim else 1)
            if self.records.take(one.number, one.claim, claim):
                self._claims[one.number] = claim
                taken[one.number] = claim.times
        if not taken:
            return []
        return [(trial, taken[trial.number]) for trial in self.trials() if trial.number in taken]

    def renew(self) -> None:
        """Says that this process is alive; to be called at least every GRACE_SECONDS."""
        if time.monotonic() - self._renewed > BEAT_SECONDS:
            self._renewed = time.monotonic()
            self.records.beat(list(self._claims))
            if self._exclusive:
                self._exclusive.renew()

    def report(self, number: int, epoch: int, accuracy: float) -> None:
        """Records the accuracy after an epoch as an intermediate value; `finish` at the latest."""
        self._of(number)[0][epoch] = accuracy
        if time.monotonic() - self._reported > self.report_seconds:
            self._reported = time.monotonic()
            unwritten, claim = self._unwritten.pop(number), self._claims.get(number)
            self.records.write(number, *unwritten, claim=claim)

    def judge(self, number: int, kept: Mapping[str, Any]) -> None:
        """Keeps what a pruner keeps with a running trial; the next report or `finish` writes it."""
        self._of(number)[1][JUDGED] = dict(kept)

    def _of(self, number: int) -> tuple[dict[int, float], dict[str, Any]]:
        """The curve and the attributes of a running trial that are not written yet."""
        return self._unwritten.setdefault(number, ({}, {}))

    def finish(self, number: int, evaluation: Evaluation, values: Sequence[float]) -> bool:
        """Records an evaluation in one write; a failed one ends in state FAIL, without values.

        Returns:
            Whether it was recorded: not if this process was taken for dead, and another has the
            trial.
        """
        curve, attrs = self._unwritten.pop(number, ({}, {}))
        attrs |= measured(evaluation)
        state = {"failed": TrialState.FAIL, "pruned": TrialState.PRUNED}.get(
            evaluation.status, TrialState.COMPLETE
        )
        found = None if state == TrialState.FAIL else list(values)
        claim = self._claims.pop(number, None)
        return self.records.write(number, curve, attrs, state, found, claim)

    @contextmanager
    def joined(self, url: str) -> Iterator[None]:
        """Works on the study beside other processes, where the storage allows it, or else alone.

        Args:
            url: the storage's.

        Raises:
            InputError: it does not, and another process works on it.
        """
        if not self.records.shared:
            with self.owned(url):
                yield
            return
        with Presence() as presence:
            self.me = presence.name
            try:
                yield
            finally:
                with suppress(Exception):
                    self.give_back(list(self._claims))

    @contextmanager
    def owned(self, url: str) -> Iterator[None]:
        """Has the study for this process alone.

        Args:
            url: the storage's.

        Raises:
            InputError: another process works on it.
        """
        with Exclusive(self.storage, self.study_id, self.name, url) as self._exclusive:
            yield
        self._exclusive = None

    def give_back(self, numbers: Sequence[int]) -> None:
        """Leaves running trials to whoever wants them."""
        for number in numbers:
            claim = self._claims.pop(number)
            self.records.take(number, claim, Claim("", claim.times - 1))
