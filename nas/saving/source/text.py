"""Python as `ruff format` lays it out, with lines of up to 88 characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from keyword import iskeyword

from nas.errors import InputError

WIDTH = 88


@dataclass(frozen=True)
class Listed:
    """A list, tuple or dict: its items, each on a line of its own where they do not fit on one."""

    start: str
    items: tuple[str | Listed, ...]
    end: str

    def __str__(self) -> str:
        comma = "," if self.start == "(" and len(self.items) == 1 else ""
        return f"{self.start}{', '.join(map(str, self.items))}{comma}{self.end}"

    def lines(self, before: str, after: str = "") -> Iterator[str]:
        """The lines of `before`, this and `after`; what stands before has the indentation."""
        flat = f"{before}{self}{after}"
        if len(flat) <= WIDTH or not self.items:
            yield flat
            return
        indent = " " * (len(before) - len(before.lstrip()))
        yield before + self.start
        for item in self.items:
            if isinstance(item, Listed):
                yield from item.lines(f"{indent}    ", ",")
            else:
                yield f"{indent}    {item},"
        yield indent + self.end + after


def tuple_of(items: Sequence[object]) -> Listed:
    """A tuple of numbers or strings."""
    texts = (quoted(item) if isinstance(item, str) else repr(item) for item in items)
    return Listed("(", tuple(texts), ")")


def called(before: str, arguments: Sequence[str], after: str = ")") -> str:
    """A call or signature: its arguments follow, or stand on the next line, or one on each.

    Args:
        before: the text up to the bracket, with its indentation.
    """
    indent = " " * (len(before) - len(before.lstrip()))
    inner = ", ".join(arguments)
    if len(before) + len(inner) + len(after) <= WIDTH or not arguments:
        return f"{before}{inner}{after}"
    if len(indent) + 4 + len(inner) <= WIDTH:
        return f"{before}\n{indent}    {inner}\n{indent}{after}"
    each = "".join(f"\n{indent}    {argument}," for argument in arguments)
    return f"{before}{each}\n{indent}{after}"


def quoted(text: str) -> str:
    """A string in double quotes, or in single ones where that needs fewer backslashes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + "".join(f"\\{c}" if c == quote else repr(c)[1:-1] for c in text) + quote


def class_text(
    name: str, base: str, about: str, arguments: Sequence[str], lines: Sequence[str],
    constants: Sequence[str] = (), methods: Sequence[str] = (),
) -> str:  # fmt: skip
    """A class of modules; without a constructor where that has nothing to do.

    Args:
        arguments: of the constructor, with their types.
        lines: of the constructor.
        constants: lines of the class.
    """
    about = about.replace("\\", "\\\\").replace('"', "'")
    blocks = [f'class {name}({base}):\n    """{about}"""']
    if constants:
        blocks.append("\n".join(constants))
    if arguments or lines:
        made = called("    def __init__(", ["self", *arguments], ") -> None:")
        blocks.append("\n".join([made, "        super().__init__()", *lines]))
    return "\n\n".join([*blocks, *methods])


def check_name(where: str, name: str) -> None:
    """Raises InputError for a name that cannot be an attribute's."""
    if not name.isidentifier() or iskeyword(name):
        raise InputError(f"{where} has a part {name!r}, which is no name of Python's")
