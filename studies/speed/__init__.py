"""`nas bench`: what this machine evaluates in a minute, beside the usual way, and where time goes."""

from studies.speed.measure import Bench, bench

__all__ = ["Bench", "bench"]
