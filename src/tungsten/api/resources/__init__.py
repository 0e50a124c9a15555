"""Rules of the single resource types, one module per area.

Each module has small functions named for the rule they keep, and a ``HOOKS`` table that says
which of them run when an object of a type is created, updated or deleted. They run inside the
transaction of the request: what they raise undoes all of it.
"""
