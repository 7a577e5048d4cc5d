"""All searches of a storage: what they are, other names for them, and the end of one.

It may import the dashboard.
"""
