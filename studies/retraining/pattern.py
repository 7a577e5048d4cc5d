"""A pattern to train to the end: a notation on a skeleton, a study's best, or one of its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines import find_baseline
from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.references import named_or_parsed
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.architecture.stretch import deepened, stretched
from nas.data.load import SOURCES
from nas.errors import InputError
from nas.files.settings import from_mapping
from nas.proxy import Proxy
from studies.formatting import Score
from studies.search.choice import ENDS, POINTS, named_point, recorded_front
from studies.search.spaces import find_space
from studies.store.names import own_score
from studies.store.url import shown

if TYPE_CHECKING:
    from studies.store.trial import Trial


@dataclass(frozen=True)
class Pattern:
    """A genome with what a long training of it starts from."""

    genome: Genome
    skeleton: AnySkeleton
    """Its input shape and classes may still be other data's."""
    proxy: Proxy
    """Whose settings hold where nothing else is asked for."""
    basis: str
    """What that proxy is, in words."""
    name: str
    """In words, such as `trial 92 of digits9-…`."""
    slug: str
    """The same for a folder's name."""
    data: str | None
    """What names the usual data, None where there is none."""
    data_dir: Path | None = None
    """The folder of a study's data, where it had one."""
    split_seed: int = 0
    fingerprint: str | None = None
    """Of a study's data."""
    data_name: str = ""
    """What a study calls its data."""
    note: str = ""
    """How it was chosen, in a sentence."""
    origin: Mapping[str, Any] = field(default_factory=dict)


def find_pattern(
    text: str | None,
    space: str | None,
    baseline: str | None,
    storage: str,
    plugins: Mapping[str, str],
    layers: int | None = None,
) -> Pattern:
    """The pattern of `best:STUDY[/POINT]`, `trial:STUDY/NUMBER`, a notation, a reference's name, or a
    baseline's own.

    Args:
        space: a notation's space: a name, or a TOML file.
        layers: to which the pattern and its skeleton are stretched; None leaves them.
        baseline: a notation's skeleton, instead; without a notation the baseline itself.
        plugins: hashes by file name of what was loaded.

    Raises:
        InputError: the pattern or its skeleton is missing, unknown, or they do not fit together.
    """
    pattern = _find(text, space, baseline, storage, plugins)
    if layers is not None:
        pattern = replace(
            pattern,
            genome=stretched(pattern.genome, pattern.skeleton, layers),
            skeleton=deepened(pattern.skeleton, layers),
            name=f"{pattern.name}, stretched to {layers} layers",
            slug=f"{pattern.slug}-{layers}-layers",
        )
    plan(pattern.genome, pattern.skeleton)
    return pattern


def _find(
    text: str | None,
    space: str | None,
    baseline: str | None,
    storage: str,
    plugins: Mapping[str, str],
) -> Pattern:
    kind, _, rest = (text or "").partition(":")
    if kind in ("best", "trial") and rest:
        if space or baseline:
            raise InputError(
                f"{text}: a study has its skeleton; --space and --baseline are for notations"
            )
        return from_study(kind, rest, storage, plugins)
    if space and baseline:
        raise InputError("--space and --baseline: one of them, which the skeleton is from")
    if baseline:
        found = find_baseline(baseline)
        genome = named_or_parsed(text, found.skeleton) if text else found.genome
        own = f"baseline {baseline}" if genome == found.genome else f"a pattern on {baseline}"
        return Pattern(
            genome, found.skeleton, Proxy(), "the default training", own, baseline, None,
            origin={"baseline": baseline},
        )  # fmt: skip
    if text is None:
        raise InputError(
            "a pattern is needed: a notation, best:STUDY, trial:STUDY/NUMBER, or --baseline NAME"
        )
    return _on_space(text, space)


def _on_space(text: str, space: str | None) -> Pattern:
    if space is None:
        raise InputError(
            f"the skeleton of '{text}' is missing (widths, blocks, classes): "
            "name it with --space or --baseline"
        )
    found = find_space(space)
    genome = named_or_parsed(text, found.skeleton)
    data = found.data if found.data in SOURCES or Path(found.data).exists() else None
    basis = f"the finalists of space {found.name}"
    return Pattern(
        genome, found.skeleton, found.final_proxy, basis, f"a pattern on {found.name}",
        found.name, data, origin={"space": found.name},
    )  # fmt: skip


def from_study(kind: str, rest: str, storage: str, plugins: Mapping[str, str]) -> Pattern:
    """The best trial of a study (`Trial.rank`), a point of its front by name, or a trial by its number.

    Raises:
        InputError: no such storage, study or trial, no trial that was trained to the end, or a
            plugin of the study that is missing or has changed.
    """
    from studies.search.settings import place_of_data, recorded_space
    from studies.store.trial import best_trials

    name, number, point = _name_and_number(kind, rest)
    settings, notes, trials, longer = _read(name, storage, plugins)
    space, data, note = recorded_space(settings), settings["data"], ""
    source, folder = place_of_data(notes, data["name"])
    if number is None:
        best = best_trials(trials, space, 1)
        if not best:
            raise InputError(
                f"study {name!r} has no successful trial of the search among {len(trials)}; "
                "trial:STUDY/NUMBER names any"
            )
        trial = best[0]
        if point:
            front = recorded_front(settings, space, trials)
            trial = named_point(front or best, settings["objectives"], point)
        note = _choice(settings["objectives"], trial, len(trials), point)
    elif number not in (known := {trial.number: trial for trial in trials}):
        last = f"0 to {max(known)}" if trials else "none yet"
        raise InputError(f"trial:{rest}: study {name!r} has no trial {number}; it has {last}")
    else:
        trial = known[number]
    genome = trial.best_genome if number is None else trial.genome
    return Pattern(
        genome, space.skeleton, longer or space.final_proxy, f"the finalists of {name}",
        f"trial {trial.number} of {name}", f"{name}-trial{trial.number}",
        source, folder, data["split_seed"], data["fingerprint"] or None, data["name"], note,
        origin={"study": name, "trial": trial.number, "asked": f"{kind}:{rest}"},
    )  # fmt: skip


def _read(
    name: str, storage: str, plugins: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any], list[Trial], Proxy | None]:
    """A study's settings, notes and trials, and the training of its finalists where it had some."""
    from nas.plugins import check_plugins
    from studies.store.names import FINALISTS, study_names
    from studies.store.storages import existing_storage, storage_errors
    from studies.store.store import Store

    with storage_errors(storage):
        opened = existing_storage(storage)
        if not study_names(opened):
            raise InputError(
                f"--storage {shown(storage)}: it has no studies; nas search makes them"
            )
        store = Store.load_search(opened, name)
        settings = store.settings
        check_plugins(settings["plugins"], plugins, f"study {name!r}")
        trials, notes = store.ranked(), store.notes()
        finals = store.beside(FINALISTS)
        if finals is None:
            return settings, notes, trials, None
        proxy = from_mapping(Proxy, finals.settings["proxy"], "the finalists")
        return settings, notes, trials, proxy


def _choice(objectives: Sequence[str], trial: Trial, trials: int, point: str) -> str:
    """How `best:` chose."""
    score = Score.of(objectives)
    what = f"validation {score.name}" if score.own else "validation"
    best = "best" if score.own else "most accurate"
    accuracy = f"{score.show(trial.attrs['accuracy'])} {what}"
    if point:
        return f"The point '{point}' of the Pareto front of {trials} trials: {accuracy}."
    chosen = f"The {best} of {trials} trials by the proxy: {accuracy}"
    if trial.again is not None:
        chosen = (
            f"Of the {best} of {trials} trials by the proxy, the best over fresh seeds: "
            f"{score.show(trial.again)} {what}"
        )
    if len(objectives) == 1:
        return f"{chosen}."
    goals = " and ".join((own_score(name) or (name,))[0] for name in objectives)
    return f"{chosen}; by {goals} others may suit more: best:STUDY/knee or /cheapest."


def _name_and_number(kind: str, rest: str) -> tuple[str, int | None, str]:
    """A study's name, the trial's number, and the point's name; the one or the other is missing."""
    if kind == "best":
        name, _, point = rest.rpartition("/")
        return (name, None, point) if name and point in (*POINTS, *ENDS) else (rest, None, "")
    name, _, number = rest.rpartition("/")
    if not name or not number.isdecimal():
        raise InputError(f"trial:{rest}: write trial:STUDY/NUMBER, such as trial:{rest}/17")
    return name, int(number), ""
