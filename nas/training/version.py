"""The version of what computes."""

from __future__ import annotations

TRAINER_VERSION = 3
