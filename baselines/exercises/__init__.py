"""The five exercises of the sheet: what each trains and measures, and its page with verdicts.

It may import all of `nas` and the baselines. To add one, write `exerciseN.py` and name it in EXERCISES of `runner.py`.
"""
