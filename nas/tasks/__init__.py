"""What networks learn, and how well they do it: the loss, the score, what is made of an input and its label.

A task imports `nas.errors` alone, and torch inside its methods. To add one, write a class in a file here and
name it in TASKS in `table.py`.
"""
