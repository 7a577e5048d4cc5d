from studies.cli.app import app, main

__all__ = ["app", "main"]
