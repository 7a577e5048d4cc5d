"""A study explained to a colleague: `write_report` makes one self-contained page, or its figures.

The plain numbers are in `facts` (nothing in it that was not recorded), the pictures in `figures`,
the page in `page`. `knockout` is the one part that trains networks, and only when it is asked to.
"""

from __future__ import annotations


def __getattr__(name: str) -> object:
    if name == "write_report":
        from studies.report.write import write_report

        return write_report
    raise AttributeError(f"module 'studies.report' has no attribute {name!r}")
