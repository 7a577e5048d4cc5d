"""What was evaluated elsewhere and is history here: trials of other Optuna clients, imported tables.

It may import the store. The search reads what is here; `nas import` writes it.
"""
