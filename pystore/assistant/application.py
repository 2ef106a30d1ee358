"""The schema that every subject's module adds to."""

from pystore.schema import Schema

schema = Schema("assistant", app=1, views=1)
