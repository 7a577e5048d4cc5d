"""Passwords in the URLs of storages: none is shown or kept."""

from __future__ import annotations

import re

PASSWORD = re.compile(r"(?<=://)([^:/@?]*):.*(?=@)|((?<=[?&])\w*password=)[^&#\s]*", re.IGNORECASE)
"""Between the user's name and the last @, where addresses start, or given as an option."""


def shown(text: str) -> str:
    """A URL, or an argument or message that holds one, without its password."""
    return PASSWORD.sub(lambda found: f"{found[2] or found[1] + ':'}***", text)
