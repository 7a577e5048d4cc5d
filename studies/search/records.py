"""What is known here of a study: its trials, who evaluates them, and what a decision may see of them.

Proposal k sees all proposals before k and the results before k - lag, whoever evaluated them and
whenever; pruning of k sees those results and k's own curve. That holds here, and nowhere else.

Other programs' trials have numbers among them. One that waits is begun before anything of a higher
number is proposed, and is then a trial like any other. One that is complete is seen by the proposals
after the first trial that names it in its record: when that was is no matter of timing any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optuna.trial import TrialState

from nas.architecture.genome import Genome
from nas.errors import InputError
from nas.evaluation.inheritance import Ancestor
from nas.evaluation.result import Evaluation, failed
from nas.strategies.known import Known
from nas.strategies.newcomers import generator
from nas.strategies.problem import PastTrial, Proposal
from studies.foreign.imported import imported_trials
from studies.foreign.optuna_trials import ENQUEUED, enqueued_genome, told_trial
from studies.search.given import given_patterns
from studies.search.settings import SearchSettings
from studies.store.names import GOAL_OF_TRIAL, JUDGED, LOSS
from studies.store.store import Store
from studies.store.trial import Foreign, Genes, Trial

CLAIMS = 10
"""Searches that may end, other than by a word, while a trial runs: then it is taken for the cause."""


@dataclass
class Running:
    """A trial that a worker of this process has."""

    genome: Genome
    curve: dict[int, float] = field(default_factory=dict)
    """Accuracy by epoch, so far."""
    kept: dict[str, Any] = field(default_factory=dict)
    """What its pruner keeps with it."""


class Records:
    """The trials of a study that this process has joined.

    Args:
        on_other: told of every trial that another process has finished, and whether it is the most
            accurate so far.
        on_skipped: told of every trial of another program that cannot be used, in a sentence.
    """

    def __init__(
        self,
        settings: SearchSettings,
        store: Store,
        on_other: Callable[[Trial, bool], None],
        on_skipped: Callable[[str], None] = lambda why: None,
    ) -> None:
        self.settings, self.store, self.on_other = settings, store, on_other
        self.on_skipped = on_skipped
        self.problem = settings.problem()
        self.patterns = given_patterns(settings)
        earlier = (
            imported_trials(store, settings.objectives, self.problem) if settings.imported else ()
        )
        self.known = Known(self.problem.weights, settings.lag, earlier)
        self.past = self.known.past
        """The trials of this program by number, in its order."""
        self.running: dict[int, Running] = {}
        self.elsewhere: set[int] = set()
        """Numbers of the trials that other processes evaluate."""
        self.waiting: list[int] = []
        """Numbers of the trials that were taken over, in order, and wait for a worker."""
        self._next = 0
        self._places: dict[int, int] = {}
        """How many trials of this program come before each of them."""
        self._roles: dict[int, str] = {}
        self._proposed = 0
        """How many of them this program has proposed."""
        self._unsettled: set[int] = set()
        """Numbers of other programs' trials that have not ended."""
        self._skipped: set[int] = set()
        self._first_parents: dict[int, int] = {}
        self._complete = 0
        self._best = float("-inf")

    def __len__(self) -> int:
        """The number that the next trial has."""
        return self._next

    @property
    def count(self) -> int:
        """The trials of this program."""
        return len(self.past)

    def role(self, number: int) -> str:
        """The name of a given pattern, or nothing."""
        return self._roles[number]

    def due(self) -> Genome | None:
        """The given pattern that is to be evaluated next, if one is."""
        if self._proposed >= len(self.patterns):
            return None
        known = {past.genome for past in self.past.values()}
        return next((made for made in self.patterns.values() if made not in known), None)

    def visible(self, k: int) -> bool:
        """Whether all results that proposal k may see are there."""
        while self._complete < self._next and not self._under_way(self._complete):
            self._complete += 1
        return self._complete >= k - self.settings.lag

    def awaited(self, evaluations: int) -> bool:
        """Whether trials of the budget are still to be evaluated, here or elsewhere."""
        return any(
            self._places[number] < evaluations or self.role(number).startswith(ENQUEUED)
            for number in {*self.waiting, *self.elsewhere}
        )

    def ancestors(self, number: int) -> tuple[Ancestor, ...]:
        """The first parents of a trial, the eldest first."""
        found: list[Ancestor] = []
        while (parent := self._first_parents.get(number)) is not None:
            found.append(Ancestor(parent, self.past[parent].genome))
            number = parent
        return tuple(reversed(found))

    def follow(self, tell: bool = True) -> bool:
        """Takes up what is recorded and was not known here.

        Returns:
            Whether numbers are taken that were free.
        """
        seen = self._next
        first = min({*self.elsewhere, *self._unsettled}, default=seen)
        for trial in self.store.everything()[first:]:
            number, finished = trial.number, trial.state.is_finished()
            if isinstance(trial, Foreign):
                if not self._settle(trial):  # another process was faster
                    return self.follow(tell) or self._next > seen
                continue
            if number in self.past and not (number in self.elsewhere and finished):
                continue
            past = self._replayed(trial)
            if number in self.past:
                self.past[number] = past
                self.elsewhere.discard(number)
            else:
                role = trial.attrs.get("role") or self._pattern(trial.genome)
                self.put(past, role, trial.attrs.get("told") or ())
                self._note_parents(number, trial.attrs.get("parents") or ())
                if not finished:
                    self.elsewhere.add(number)
            best = self._remember(past, trial.attrs.get("accuracy"), trial.ok)
            if finished and tell:
                self.on_other(trial, best)
        return self._next > seen

    def put(self, past: PastTrial, role: str = "", told: Sequence[int] = ()) -> None:
        """Adds the next trial of this program.

        Args:
            told: other programs' trials that its record names.
        """
        number = past.number
        self._next = max(self._next, number + 1)
        self._unsettled.discard(number)
        self._places[number] = len(self.past)
        self._roles[number] = role
        self._proposed += not role.startswith(ENQUEUED)
        self.known.put(past, told)

    def _settle(self, trial: Foreign) -> bool:
        """Takes up another program's trial: begins it, or keeps its result.

        False if it waited, and waits no more.
        """
        number = trial.number
        self._next = max(self._next, number + 1)
        (self._unsettled.discard if trial.state.is_finished() else self._unsettled.add)(number)
        if number in self._skipped or number in self.known.told:
            return True
        try:
            if trial.state == TrialState.WAITING:
                return self._begin_waiting(trial)
            if trial.state == TrialState.COMPLETE:
                settings = self.settings
                self.known.told[number] = told_trial(
                    trial, settings.space, settings.objectives, settings.limits
                )
        except InputError as error:
            self._skipped.add(number)
            self.on_skipped(f"trial {number} of another program is not used: {error}")
        return True

    def _begin_waiting(self, trial: Foreign) -> bool:
        settings, number = self.settings, trial.number
        genome = enqueued_genome(trial, settings.space, generator(settings.seed, number))
        known = next((n for n, past in self.past.items() if past.genome.key == genome.key), None)
        if known is not None:
            raise InputError(f"its pattern is trial {known}'s, and none is trained twice")
        proposal = self.problem.assess(Proposal(genome))
        role = self._pattern(genome) or f"{ENQUEUED} {number}"
        genes = Genes.of(genome, settings.space) if proposal.inside else None
        if not self.store.begin_waiting(number, genome, self.attrs(proposal, role), genes):
            return False
        self.put(PastTrial(number, genome, None, proposal.admitted, False), role)
        self.waiting = sorted([*self.waiting, number])
        return True

    def _pattern(self, genome: Genome) -> str:
        return next((name for name, made in self.patterns.items() if made == genome), "")

    def attrs(self, proposal: Proposal, role: str) -> dict[str, Any]:
        """What is recorded with a proposal as its trial begins."""
        assert proposal.planned is not None
        attrs = {
            "parents": list(proposal.parents),
            "duplicates": proposal.duplicates,
            "strategy": self.settings.strategy,
            "params": proposal.planned.params,
            "macs": proposal.planned.macs,
            "seed": self.settings.seed,
            "role": role,
        }
        if self.settings.objectives[0] == LOSS:
            attrs[GOAL_OF_TRIAL] = LOSS
        return attrs

    def take_lost(self) -> bool:
        """Takes over the trials of processes that are gone, and what they have recorded.

        Returns:
            Whether numbers are taken that were free.
        """
        taken = self.store.take_lost()
        followed = self.follow()
        for trial, times in taken:
            if times > CLAIMS:
                why = f"{times - 1} searches ended while it ran"
                self.store.finish(trial.number, self.failed(trial.genome, why), ())
            else:
                self.elsewhere.discard(trial.number)
                self.waiting = sorted([*self.waiting, trial.number])
        return followed

    def give_back(self) -> None:
        """Leaves to others what was taken over and not begun."""
        self.store.give_back(self.waiting)
        self.elsewhere |= set(self.waiting)
        self.waiting = []

    def start(self, proposal: Proposal, more: Mapping[str, Any]) -> int | None:
        """The number of a proposal as the study's next trial; None if that is another's by now.

        Args:
            more: attributes of the trial.
        """
        number, genome, told = self._next, proposal.genome, self.known.unnamed()
        role = self._pattern(genome)
        attrs = {**self.attrs(proposal, role), **more}
        if told:
            attrs["told"] = told
        parent = self._parent(proposal.parents)
        if self.settings.inherit and parent is not None:
            attrs["inherited_from"] = parent
        genes = Genes.of(genome, self.settings.space) if proposal.inside else None
        if not self.store.add(number, genome, attrs, genes, proposal.memory):
            return None
        self._note_parents(number, proposal.parents)
        past = PastTrial(number, genome, None, proposal.admitted, False, memory=proposal.memory)
        self.put(past, role, told)
        return number

    def begin(self, number: int) -> Genome:
        """The genome of a trial that a worker gets now."""
        self.running[number] = Running(self.past[number].genome)
        return self.running[number].genome

    def finish(
        self, number: int, evaluation: Evaluation, values: tuple[float, ...]
    ) -> tuple[Genome, bool] | None:
        """Records a result: its genome, and whether it is the most accurate so far.

        None if another process has the trial.
        """
        run = self.running.pop(number)
        if not self.store.finish(number, evaluation, values):
            self.elsewhere.add(number)
            return None
        known = None if evaluation.status == "failed" else values
        self.past[number] = with_results(
            self.past[number], known, evaluation.status, run.curve, run.kept
        )
        ok = evaluation.status == "ok"
        return run.genome, self._remember(self.past[number], evaluation.accuracy, ok)

    def failed(self, genome: Genome, why: str, status: str = "failed") -> Evaluation:
        """The evaluation of a candidate that has none."""
        return failed(genome, self.settings.space.skeleton, self.settings.seed, why, status)

    def _under_way(self, number: int) -> bool:
        return number in self.running or number in self.elsewhere or number in self.waiting

    def _replayed(self, trial: Trial) -> PastTrial:
        space = self.settings.space
        inside = trial.genome in space and self.settings.limits.admit(trial.genome, space)
        past = PastTrial(trial.number, trial.genome, None, inside, False, memory=trial.memory)
        status = trial.attrs.get("status", "") if trial.state.is_finished() else ""
        return with_results(past, trial.values, status, trial.curve, trial.attrs.get(JUDGED))

    def _note_parents(self, number: int, parents: Sequence[int]) -> None:
        parent = self._parent(parents)
        if parent is not None:
            self._first_parents[number] = parent

    def _parent(self, parents: Sequence[int]) -> int | None:
        """The first that was trained here, whose weights there may be."""
        return next((number for number in parents if number in self.past), None)

    def _remember(self, trial: PastTrial, accuracy: float | None, ok: bool) -> bool:
        """Keeps the best accuracy that the search found; True where this is it."""
        if not ok or accuracy is None or accuracy <= self._best:
            return False
        if self.role(trial.number) or not trial.inside:
            return False
        self._best = accuracy
        return True


def with_results(
    trial: PastTrial,
    values: tuple[float, ...] | None,
    status: str,
    curve: Mapping[int, float] | None,
    judged: Mapping[str, Any] | None,
) -> PastTrial:
    """A trial as later proposals see it."""
    if status in ("out of memory", "failed"):  # how far it came is chance
        curve = judged = None
    return replace(
        trial, values=values, parent=trial.inside and status == "ok", curve=curve or {},
        pruned=status == "pruned", judged=judged or {},
    )  # fmt: skip
