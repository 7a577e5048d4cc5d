"""`nas bench`: what this machine evaluates in a minute, beside the usual way, and where time goes."""

from studies.bench.measure import Bench, bench

__all__ = ["Bench", "bench"]
