"""The command `nas`."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from keyword import iskeyword
from pathlib import Path

import click

from nas.errors import InputError, brief, one_line, unknown
from studies.cli.interrupt import EXIT_INTERRUPTED

EXIT_INPUT = 2

COMMANDS = Path(__file__).parent / "commands"
"""A module for each command, named like it; a word of Python's has an underscore after it."""


def command_names() -> list[str]:
    """The commands, in the order of the alphabet."""
    return sorted(path.stem.removesuffix("_") for path in COMMANDS.glob("[a-z]*.py"))


def _in_python(name: str) -> str:
    """The name of a command's module and function."""
    return f"{name}_" if iskeyword(name) else name


def load_command(name: str) -> click.Command:
    """A command itself, with all that its module imports."""
    own = _in_python(name)
    return getattr(import_module(f"studies.cli.commands.{own}"), own)


class Commands(click.Group):
    """The commands of a folder; those that are only spoken of are not loaded."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return command_names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command with its help alone, which is read without loading its module."""
        if cmd_name not in command_names():
            return None
        own = _in_python(cmd_name)
        for node in ast.parse((COMMANDS / f"{own}.py").read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name == own:
                return click.Command(cmd_name, help=ast.get_docstring(node))
        raise LookupError(f"{own}.py does not define {own}")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in command_names() and not (args[0][:1] == "-" or ctx.resilient_parsing):
            raise unknown("command", args[0], command_names())
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name and command else command, rest


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="skipnas")
def app() -> None:
    """Search for skip-connection patterns: which layers to connect, how, and how strongly."""


def main() -> None:
    """Runs the command; what is wrong in the input is one line and exit code 2."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except InputError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
    except click.ClickException as error:
        print(f"error: {one_line(error.format_message())}", file=sys.stderr)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except RuntimeError as error:
        if not isinstance(error.__cause__, KeyboardInterrupt):  # Ctrl-C in the midst of an import
            raise
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:  # a name that is too long, a full disk
        if error.filename is None:
            raise
        print(f"error: {brief(error.filename)}: {error.strerror}", file=sys.stderr)
    sys.exit(EXIT_INPUT)
