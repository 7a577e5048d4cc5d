"""Where all commands print: a console, and tables that break no word.

Rich takes a pipe for a terminal of 80 columns, and narrows columns without a look at their words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

ENDLESS = 100_000
"""Columns where no terminal is."""

GAP = 2
"""Columns between a header and a cell beside it."""


def make_console(**options: Any) -> Console:
    """The console of a command: as wide as the terminal; in a pipe or a file nothing is cut.

    Args:
        options: as for rich's.
    """
    made = Console(**options)
    return made if made.is_terminal else Console(width=ENDLESS, **options)


def tell(console: Console, sentences: Sequence[str]) -> None:
    """Prints sentences that hold a user's words, a line each, and longer ones wrapped between words."""
    for sentence in sentences:
        console.print(sentence, markup=False, highlight=False)


class WordTable(Table):
    """A table whose columns are never narrower than their longest word.

    Columns with `no_wrap` keep their cells on one line, though not their headers. Where the columns
    do not fit beside each other, those of `sheds` are left out; where that is not enough, every row
    becomes lines of its own, `header  cell`.
    """

    def __init__(self, *args: Any, sheds: Sequence[str] = (), **more: Any) -> None:
        super().__init__(*args, **more)
        self.sheds = sheds

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.title:
            yield _line(self.title, "table.title")
        columns = self.columns
        shed = [] if self._fits(console, columns, options) else [
            column for column in columns if column.header in self.sheds
        ]  # fmt: skip
        kept = [column for column in columns if column not in shed]
        if self._fits(console, kept, options):
            yield self._beside(console, kept, options)
        else:
            yield from self._below(console, kept, options)
        if self.caption and not shed:
            yield _line(self.caption, "table.caption")
        elif shed:
            names = ", ".join(str(column.header) for column in shed)
            yield _line(f"{names}: not shown, as the terminal is too narrow", "table.caption")

    def _room(self, columns: Sequence[Column], options: ConsoleOptions) -> int:
        """What is left of the width for the cells."""
        one = sum(self.padding[index] for index in (1, 3))
        lines = len(columns) - 1 + 2 * self.show_edge if self.box else 0
        return options.max_width - lines - one * len(columns)

    def _fits(self, console: Console, columns: Sequence[Column], options: ConsoleOptions) -> bool:
        least = sum(_range(console, column).minimum for column in columns)
        return least <= self._room(columns, options)

    def _beside(
        self, console: Console, columns: Sequence[Column], options: ConsoleOptions
    ) -> Table:
        widths = fitted([_range(console, c) for c in columns], self._room(columns, options))
        table = Table(
            box=self.box, padding=self.padding, show_header=self.show_header,
            header_style=self.header_style,
        )  # fmt: skip
        for column, width in zip(columns, widths, strict=True):
            table.add_column(
                column.header, justify=column.justify, width=width, overflow="fold",
                style=column.style,
            )  # fmt: skip
        cells = zip(*(column.cells for column in columns), strict=True)
        for row, texts in zip(self.rows, cells, strict=True):
            table.add_row(*texts, style=row.style)
        return table

    def _below(
        self, console: Console, columns: Sequence[Column], options: ConsoleOptions
    ) -> RenderResult:
        labels = max(len(str(column.header)) for column in columns)
        word = max(_range(console, column).minimum for column in columns)
        beside = labels + GAP + word <= options.max_width
        for texts in zip(*(column.cells for column in columns), strict=True):
            lines = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_header=False)
            lines.add_column(overflow="fold", no_wrap=beside)
            lines.add_column(overflow="fold")
            for column, text in zip(columns, texts, strict=True):
                header = Text(str(column.header), "dim")
                if beside:
                    lines.add_row(header, text)
                else:
                    lines.add_row(header)
                    lines.add_row(text)
            yield lines
            yield Text()


def fitted(ranges: Sequence[Measurement], room: int) -> list[int]:
    """Widths within their ranges: the widest are made narrower until all have room."""
    low, high = 0, max(one.maximum for one in ranges)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(_within(one, middle) for one in ranges) <= room:
            low = middle
        else:
            high = middle - 1
    widths = [_within(one, low) for one in ranges]
    for index, one in enumerate(ranges):
        if sum(widths) < room and widths[index] < one.maximum:
            widths[index] += 1
    return widths


def _within(one: Measurement, width: int) -> int:
    return max(one.minimum, min(one.maximum, width))


def _range(console: Console, column: Column) -> Measurement:
    """(longest word, longest line) of a column."""
    wide = console.options.update_width(ENDLESS)
    header = Measurement.get(console, wide, column.header)
    cells = [Measurement.get(console, wide, cell) for cell in column.cells]
    whole = max((cell.maximum for cell in cells), default=0)
    least = whole if column.no_wrap else max((cell.minimum for cell in cells), default=0)
    return Measurement(max(1, least, header.minimum), max(1, whole, header.maximum))


def _line(text: Any, style: str) -> Text:
    line = Text.from_markup(text) if isinstance(text, str) else text.copy()
    line.stylize_before(style)
    return line
