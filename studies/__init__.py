"""Searches recorded in Optuna storages: `studies.load(name)` is a study as a pandas table."""


def __getattr__(name: str) -> object:
    if name == "load":
        from studies.frame import load

        return load
    raise AttributeError(f"module 'studies' has no attribute {name!r}")
