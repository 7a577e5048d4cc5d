"""Passwords in the URLs of storages: none is shown or kept."""

from __future__ import annotations

import os
import re

OPTION = re.compile(r"(?<=[?&])(\w*pass(?:word|wd)?=)[^&#\s]*", re.IGNORECASE)
USER = re.compile(r"(?<=:)(?P<user>(?://)?[^:/@?\s]*):(?!//).*@(?=[^@]*$)", re.DOTALL)
"""From the user's name to the last @, where an address begins."""


def shown(text: str) -> str:
    """A URL, or an argument or message that holds one, without its password."""
    return USER.sub(lambda found: f"{found['user']}:***@", OPTION.sub(r"\1***", text))


STORAGE = "sqlite:///nas.db"


def storage_words(url: str) -> list[str]:
    """`--storage URL` for a command that is printed; nothing where it takes this storage by itself."""
    usual = os.getenv("NAS_STORAGE") or STORAGE
    return [] if shown(url) == shown(usual) else ["--storage", shown(url)]
