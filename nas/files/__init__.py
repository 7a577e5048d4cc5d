"""Files: written whole or not at all, read up to a limit, and settings from TOML and JSON.

It may import `nas.errors` alone.
"""
