"""What a study says, as plain numbers: facts, cost, front, habits, importance, lineage, comparisons.

It may import knock-outs and the search. To add an analysis, write a file here, a field of `Facts` and a
block of the report's page.
"""
