"""Trials in SQL databases, and what becomes of them while a database is away."""
