"""Searches and long trainings in MLflow, TensorBoard, or a user's own tracker.

It may import all but the command line. To add a tracker, write a class over `Tracker` and name it in
TRACKERS of `find.py`; a package of its own is imported where it is used.
"""
