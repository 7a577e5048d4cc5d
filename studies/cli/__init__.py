"""The command `nas`: a file for each of its commands, their options, and what they print.

It may import everything; click is imported here alone. To add a command, write `commands/NAME.py`
with a command of the same name: it is found by its file.
"""

from studies.cli.app import app, main

__all__ = ["app", "main"]
