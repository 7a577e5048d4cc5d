"""The report's figures as SVG: progress, trade-off, finalists, knock-outs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nas.architecture.layers import Skip, skip_said
from nas.drawing.canvas import ACCENT, FONT, GRID, INK, MUTED, SURFACE, WARM, Canvas, spread
from studies.analysis.facts import Facts, Finals, Row
from studies.analysis.front import Front, Point
from studies.formatting import ACCURACY, Score, count
from studies.knockouts.recorded import Knockout, Loss
from studies.search.objectives import OBJECTIVES

DASHES = {"plain": (1, 2), "residual": (5, 3), "dense": (5, 2, 1, 2), "start": (9, 3)}
BEYOND = 100.2
"""Where an axis of accuracies in percent ends at most."""
MARKERS = {"plain": "s", "residual": "^", "dense": "D", "start": "v"}


def progress(facts: Facts, against: str) -> str:
    """Best accuracy so far against `evaluations` or `seconds`, with the given patterns as lines."""
    score = Score.of_study(facts.settings)
    label = f"best validation {score.name} so far against {against}"
    canvas = Canvas(f"progress-{against}", label)
    axes, steps = canvas.axes, facts.progress
    xs = list(getattr(steps, against))
    ys = [score.scale * a for a in steps.accuracies]
    end = float(facts.cost.trials if against == "evaluations" else facts.cost.seconds)
    lines = {
        row.role: score.scale * (row.accuracy or 0)
        for row in facts.given
        if _ok(row) and (row.accuracy or score.own)
    }
    own = [r for r in facts.trials if not r.role and _ok(r) and r.accuracy is not None]
    dots = [score.scale * (r.accuracy or 0) for r in own]
    low, high = window([*ys, *lines.values()], dots, score)
    if against == "evaluations":
        for row, y in zip(own, dots, strict=True):
            tip = f"trial {row.number}: {score.show(y / score.scale)}"
            style = {"marker": "o", "alpha": 0.45} if y >= low else {"marker": 7, "alpha": 0.8}
            canvas.dot(row.number + 1, max(y, low), tip, color=MUTED, markersize=3.2, mew=0,
                       clip_on=False, **style)  # fmt: skip
    for role, y in lines.items():
        if y >= low:
            axes.axhline(y, color=INK, lw=1, dashes=DASHES.get(role, (2, 2)), zorder=1.5)
    if xs:
        axes.plot([*xs, max(end, xs[-1])], [*ys, ys[-1]], color=ACCENT, lw=2.2,
                  drawstyle="steps-post")  # fmt: skip
        canvas.dot(xs[-1], ys[-1], f"trial {steps.numbers[-1]}: {score.show(steps.accuracies[-1])}", marker="o",
                   color=ACCENT, markersize=6.5, mec=SURFACE, mew=1.2, zorder=4)  # fmt: skip
    names = {f"{role} {_short(score, y)}": (y, INK) for role, y in lines.items()}
    if ys:
        names[f"search {_short(score, ys[-1])}"] = (ys[-1], ACCENT)
    axes.set_ylim(low, high)
    axes.set_xlim(0, max(end, 1) * 1.01)
    _label_right(canvas, names)
    unit = "evaluations" if against == "evaluations" else "training seconds, summed over candidates"
    axes.set_xlabel(unit)
    axes.set_ylabel(f"validation {score.axis}")
    _ticks(axes.yaxis, score)
    axes.grid(axis="y")
    return canvas.svg()


def _short(score: Score, height: float) -> str:
    """A place on an axis of scores, in few digits."""
    return score.number(height) if score.own else f"{height:.1f}"


def _ticks(axis: Any, score: Score) -> None:
    """Names the places of an axis of scores of the user's own, on which better is up."""
    if score.own:
        axis.set_major_formatter(lambda height, _: score.number(height))


def _label_right(canvas: Canvas, names: dict[str, tuple[float, str]]) -> None:
    """Names beside the ends of their lines, none over another; below the picture with an arrow."""
    low, high = canvas.axes.get_ylim()
    gap = 1.25 * FONT / (canvas.height - 60) * (high - low)
    places = spread([max(y, low) for y, _ in names.values()], gap)
    for (name, (y, colour)), place in zip(names.items(), places, strict=True):
        text = name if y >= low else f"{name} ↓"
        canvas.write(
            1.015, (place - low) / (high - low), text, xycoords="axes fraction", color=colour,
            va="center", ha="left", fontweight="bold" if colour == ACCENT else "normal",
        )  # fmt: skip


def window(
    core: Sequence[float], others: Sequence[float], score: Score = ACCURACY
) -> tuple[float, float]:
    """Limits of an axis of accuracies: where most of it is; what is far below lies outside.

    All of `core` is inside but values that would squeeze the rest into half of the picture; so are
    nine tenths of `others`, if they stay within that.
    """
    values = sorted(core)
    top = max([*core, *others], default=1.0)
    while len(values) > 2 and values[1] - values[0] > top - values[1]:
        values.pop(0)
    low = values[0] if values else min(others, default=0.0)
    if others:
        tenth = sorted(others)[len(others) // 10]
        low = min(low, max(tenth, top - 2 * (top - low)))
    least = 0.01 * (abs(top) or 1.0) if score.own else 0.3  # where all are equal, too
    margin = max(0.06 * (top - low), least)
    return low - margin, top + margin if score.own else min(top + margin, BEYOND)


def trade_off(front: Front, facts: Facts, second: int) -> str:
    """Accuracy against another objective; what no other pattern beats is joined or ringed."""
    name = front.objectives[second]
    objective = OBJECTIVES[name]
    score = Score.of(front.objectives)
    canvas = Canvas(f"front-{name}", f"validation {score.name} against {objective.axis}", 300)
    axes, winner = canvas.axes, facts.winner.number if facts.winner else None
    notations = {row.number: row.genome for row in facts.trials}
    points = sorted(front.points, key=lambda p: (p.front, bool(p.role), p.number == winner))
    scale = objective.scale
    ys = {p.number: score.scale * score.sign * p.values[0] for p in points}
    own = [ys[p.number] for p in points if not p.role]
    core = [y for p, y in zip(points, ys.values(), strict=True) if p.role or p.front]
    low, high = window(core or own, own, score)
    best = sorted((p for p in points if p.front), key=lambda p: p.values[second])
    if len(front.objectives) == 2 and len(best) > 1:
        xs = [scale * p.values[second] for p in best]
        axes.plot(xs, [max(low, ys[p.number]) for p in best], color=ACCENT, lw=1.6,
                  drawstyle="steps-post", zorder=1.8)  # fmt: skip
    for p in points:
        x, y = scale * p.values[second], ys[p.number]
        value = objective.show(p.values[second])
        tip = f"{p.role or f'trial {p.number}'}: {score.show(y / score.scale)}, {value}\n{notations[p.number]}"
        canvas.dot(x, max(y, low), tip, **_marker(p, p.number == winner, y < low))
    axes.set_ylim(low, high)
    axes.margins(x=0.08)
    _names(canvas, [(scale * p.values[second], max(low, ys[p.number]), p) for p in points], winner)
    axes.set_xlabel(objective.axis)
    axes.set_ylabel(f"validation {score.axis}")
    _ticks(axes.yaxis, score)
    if not objective.unit:
        axes.xaxis.set_major_formatter(lambda value, _: count(value))
        axes.locator_params(axis="x", nbins=5)
    axes.grid(color=GRID)
    return canvas.svg()


def _marker(point: Point, winner: bool, below: bool) -> dict:
    if point.role:
        return {
            "marker": MARKERS.get(point.role, "P"), "color": WARM, "markersize": 7.5,
            "mec": SURFACE, "mew": 1, "zorder": 4, "clip_on": False,
        }  # fmt: skip
    if winner:
        return {"marker": "*", "color": ACCENT, "markersize": 14, "mec": SURFACE, "mew": 1,
                "zorder": 5}  # fmt: skip
    if point.front:
        return {"marker": "o", "color": ACCENT, "markersize": 6, "mec": SURFACE, "mew": 0.8,
                "zorder": 3}  # fmt: skip
    return {"marker": 7 if below else "o", "color": MUTED, "markersize": 4, "mew": 0, "alpha": 0.55,
            "clip_on": False}  # fmt: skip


def _names(
    canvas: Canvas, points: Sequence[tuple[float, float, Point]], winner: int | None
) -> None:
    """Names of the given patterns and the winner, beside them."""
    (left, right), (low, high) = canvas.axes.get_xlim(), canvas.axes.get_ylim()
    taken: list[tuple[float, float]] = []
    for x, y, point in points:
        if not point.role and point.number != winner:
            continue
        place = (x - left) / (right - left), (y - low) / (high - low)
        near = sum(abs(place[0] - a) < 0.3 and abs(place[1] - b) < 0.09 for a, b in taken)
        height = (5, -6, 19, -20)[near % 4]
        taken.append(place)
        outer = place[0] > 0.5
        canvas.write(
            x, y, point.role or f"trial {point.number}", textcoords="offset points", zorder=6,
            xytext=(-8 if outer else 8, height), ha="right" if outer else "left",
            va="top" if height < 0 else "bottom", color=WARM if point.role else ACCENT,
            fontweight="bold",
            bbox={"facecolor": SURFACE, "alpha": 0.7, "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip


def hypervolume(front: Front, trials: int) -> str:
    """Hypervolume of the candidates so far against evaluations."""
    canvas = Canvas("hypervolume", "hypervolume against evaluations", 300)
    axes = canvas.axes
    xs = [x for x, _ in front.history] or [1]
    ys = [100 * y for _, y in front.history] or [0.0]
    axes.plot([*xs, trials], [*ys, ys[-1]], color=ACCENT, lw=2.2, drawstyle="steps-post")
    names = {f"search {ys[-1]:.1f}": (ys[-1], ACCENT)}
    if front.given is not None:
        axes.axhline(100 * front.given, color=INK, lw=1, dashes=(5, 3))
        names[f"hand-made {100 * front.given:.1f}"] = (100 * front.given, INK)
    low, high = window([*ys, 100 * (front.given or ys[-1])], [])
    axes.set_ylim(max(0, low), min(high, 103))
    axes.set_xlim(0, max(trials, 1) * 1.01)
    _label_right(canvas, names)
    axes.set_xlabel("evaluations")
    axes.set_ylabel("hypervolume, % of the box")
    axes.grid(axis="y")
    return canvas.svg()


def finalists(finals: Finals, score: Score = ACCURACY) -> str:
    """Every test score, their means and 95 % intervals."""
    rows = [row for row in finals.rows if row.n]
    canvas = Canvas("finalists", f"test {score.name} of every finalist", 56 + 28 * len(rows))
    axes = canvas.axes
    for place, row in enumerate(rows):
        colour = ACCENT if row.name.startswith("trial") else MUTED
        for seed, one in zip(finals.seeds, row.accuracies, strict=True):
            if one is not None:
                canvas.dot(score.scale * one, place, f"{row.name}, seed {seed}: {score.show(one)}",
                           marker="o", color=colour, alpha=0.35, markersize=5, mew=0)  # fmt: skip
        if row.interval:
            ends = [score.scale * end for end in row.interval]
            axes.plot(ends, [place, place], color=colour, lw=2.6, solid_capstyle="butt")
        canvas.dot(score.scale * row.mean, place, f"{row.name}: mean {score.show(row.mean)}", marker="D",
                   color=colour, markersize=7.5, mec=SURFACE, mew=1.2, zorder=4)  # fmt: skip
    reference = next((row for row in rows if row.name == "residual"), None)
    if reference:
        axes.axvline(score.scale * reference.mean, color=INK, lw=1, dashes=(5, 3), zorder=1)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    if not score.own:
        low, high = axes.get_xlim()
        axes.set_xlim(low, min(high, BEYOND))
    axes.set_xlabel(f"test {score.axis}")
    _ticks(axes.xaxis, score)
    axes.grid(axis="x")
    return canvas.svg()


def knockout(found: Knockout, base: float, words: Score = ACCURACY) -> str:
    """What the score changes by without each skip, in its own sign: accuracy in points."""
    height = 78 + 20 * len(found.losses)
    canvas = Canvas("knockout", f"change of {words.name} without each skip", height)
    axes = canvas.axes
    for place, loss in enumerate(found.losses):
        ends = []
        for score, reference, name, style in (
            (loss.cut, found.whole, "cut from the trained network", {"marker": "o", "mfc": SURFACE,
             "mec": WARM, "mew": 1.8}),
            (loss.retrained, base, "trained without it", {"marker": "o", "color": ACCENT}),
        ):  # fmt: skip
            if score is None or reference is None:
                continue
            change = words.sign * words.scale * (score - reference)
            tip = f"layer {loss.layer}, {skip_said(loss.distance)}, {name}: {words.changed(score - reference)}"
            canvas.dot(change, place, tip, markersize=7, zorder=3, **style)
            ends.append(change)
        if ends:
            axes.plot([min(0, *ends), max(0, *ends)], [place, place], color=GRID, lw=2, zorder=1)
    axes.axvline(0, color=INK, lw=1, zorder=2)
    labels = [f"{x.layer}: {skip_text(x)}" for x in found.losses]
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    unit = words.unit if words.own else "points"
    axes.set_xlabel(f"change of validation {words.name}" + (f", {unit}" if unit else ""))
    axes.set_ylabel("layer: skip")
    axes.grid(axis="x")
    axes.plot([], [], ls="none", marker="o", mfc=SURFACE, mec=WARM, mew=1.8, label="cut out")
    axes.plot([], [], ls="none", marker="o", color=ACCENT, label="trained without")
    canvas.figure.legend(
        loc="outside upper right", ncols=2, frameon=False, labelcolor=INK, fontsize=FONT,
        handletextpad=0.2,
    )  # fmt: skip
    return canvas.svg()


def skip_text(loss: Loss) -> str:
    """`gate 2@0.5`."""
    return f"{loss.merge} {Skip(loss.distance, loss.strength)}"


def _ok(row: Row) -> bool:
    return row.status == "ok"
