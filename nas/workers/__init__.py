"""Processes that run jobs, on this machine or on a Ray cluster, and what becomes of a job whose process dies.

It may import `nas.errors` alone, as it knows nothing of what the jobs compute: a job is anything with
a number, and what all jobs share prepares each process. To add a kind of pool, write a class with the
methods of `Pool` in `protocol.py`, over the policy of `retries.py`.
"""
