"""The winner's ancestors, and what each step changed, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.architecture.genome import Genome
from nas.architecture.layers import NAMES, Layer, skip_said, start_said
from studies.samplers.strategies import has_parents
from studies.store.trial import Trial


@dataclass(frozen=True)
class Step:
    """A trial of the main line, eldest first."""

    number: int
    genome: Genome
    accuracy: float | None
    parent: int | None
    """The trial before it on the line; None for the first ancestor."""
    other: int | None
    """The second parent of a crossover."""
    changes: tuple[str, ...]
    """Against `parent`, in words; what a crossover took from the other parent comes first."""
    changed: tuple[int, ...]
    """Layers that differ from the parent's, from 1."""
    gained: float | None
    """Accuracy above the parent's."""


@dataclass(frozen=True)
class Lineage:
    steps: tuple[Step, ...]
    ancestors: int
    """All of them, over both parents of every crossover."""
    recorded: bool
    """Whether the strategy makes candidates of others; samplers record no parents."""


def lineage(winner: Trial | None, trials: Sequence[Trial], strategy: str) -> Lineage:
    """The line from the first ancestor to the winner.

    At a crossover it follows the more accurate parent (the first, if they are equal).
    """
    by_number = {t.number: t for t in trials}
    recorded = has_parents(strategy)
    steps: list[Step] = []
    trial = winner
    while trial is not None:
        parents = [by_number[n] for n in trial.attrs.get("parents") or () if n in by_number]
        parents.sort(key=lambda t: -(t.attrs.get("accuracy") or 0.0))
        steps.append(_step(trial, *parents[:2]))
        trial = parents[0] if parents else None
    return Lineage(tuple(reversed(steps)), len(_family(winner, by_number)), recorded)


def _family(winner: Trial | None, by_number: Mapping[int, Trial]) -> set[int]:
    found: set[int] = set()
    waiting = list(winner.attrs.get("parents") or ()) if winner else []
    while waiting:
        number = waiting.pop()
        if number not in found and number in by_number:
            found.add(number)
            waiting.extend(by_number[number].attrs.get("parents") or ())
    return found


def _step(trial: Trial, parent: Trial | None = None, other: Trial | None = None) -> Step:
    accuracy = trial.attrs.get("accuracy") if trial.ok else None
    if parent is None:
        return Step(trial.number, trial.genome, accuracy, None, None, (), (), None)
    before = parent.attrs.get("accuracy") if parent.ok else None
    gained = None if accuracy is None or before is None else accuracy - before
    pairs = zip(parent.genome.layers, trial.genome.layers, strict=True)
    changed = tuple(i for i, (old, new) in enumerate(pairs, 1) if old != new)
    words: list[str] = []
    rest = changed
    if other is not None:
        taken = [i for i in changed if trial.genome.layers[i - 1] == other.genome.layers[i - 1]]
        rest = tuple(i for i in changed if i not in taken)
        if taken:
            words.append(f"{_layers(taken)} from trial {other.number}")
    words += describe(parent.genome, trial.genome, rest)
    number = other.number if other else None
    return Step(
        trial.number, trial.genome, accuracy, parent.number, number,
        tuple(words), changed, gained,
    )  # fmt: skip


def describe(before: Genome, after: Genome, layers: Sequence[int] | None = None) -> list[str]:
    """What makes one genome the other, a sentence a layer: `layer 4: skip 2 added at strength 0.5`.

    A run of layers whose patterns moved by one place is one sentence.

    Args:
        layers: from 1, those to speak of; all that differ by default.
    """
    pairs = list(zip(before.layers, after.layers, strict=True))
    if layers is None:
        layers = [i for i, (old, new) in enumerate(pairs, 1) if old != new]
    if len(layers) > 2:
        first, last = layers[0], layers[-1]
        old, new = before.layers[first - 1 : last], after.layers[first - 1 : last]
        if new == old[-1:] + old[:-1]:
            return [
                f"layers {first}–{last}: patterns moved up by one, the last one to layer {first}"
            ]
        if new == old[1:] + old[:1]:
            return [
                f"layers {first}–{last}: patterns moved down by one, the first one to layer {last}"
            ]
    return [f"layer {i}: {_change(*pairs[i - 1])}" for i in layers]


def _change(before: Layer, after: Layer) -> str:
    if not after.skips:
        return f"made plain (was {before})"
    old = {skip.distance: skip.strength for skip in before.skips}
    new = {skip.distance: skip.strength for skip in after.skips}
    gone = [d for d in old if d not in new]
    come = [d for d in new if d not in old]
    words = []
    if len(gone) == len(come) == 1 and old[gone[0]] == new[come[0]]:
        start, end = start_said(gone[0]), start_said(come[0])
        end = end if gone[0] in NAMES else end.removeprefix("distance ")
        words.append(f"skip moved from {start} to {end}")
    else:
        words += [f"{skip_said(d)} removed" for d in gone]
        words += [f"{skip_said(d)} added at strength {new[d]:g}" for d in come]
    both = [d for d in new if d in old and old[d] != new[d]]
    words += [f"{skip_said(d)} strength {old[d]:g} → {new[d]:g}" for d in both]
    if before.merge is None:
        words.append(f"merge {after.merge}")
    elif before.merge != after.merge:
        words.append(f"merge {before.merge} → {after.merge}")
    return ", ".join(words)


def _layers(indices: Sequence[int]) -> str:
    """`layer 4`, `layers 3–5, 7`."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    words = ", ".join(f"{r[0]}–{r[-1]}" if len(r) > 1 else str(r[0]) for r in runs)
    return f"layer{'s' if len(indices) > 1 else ''} {words}"
