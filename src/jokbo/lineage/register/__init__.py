"""A register of models: their fingerprints, and what is declared of them.

Examples
--------
>>> import tempfile
>>> from jokbo.lineage.register import open_register
>>> with tempfile.TemporaryDirectory() as folder:
...     register = open_register(folder, create=True)
...     register.salt, register.entries()
('jokbo-1', ())
"""

from __future__ import annotations

from jokbo.lineage.register.entries import Entry, Facts
from jokbo.lineage.register.store import Register, default_folder, open_register, random_salt

__all__ = ["Entry", "Facts", "Register", "default_folder", "open_register", "random_salt"]
