"""Searches recorded in Optuna storages."""
