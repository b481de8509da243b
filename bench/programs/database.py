"""A database of a few thousand rows for Datasette, which shows SQLite files as pages and JSON.

python database.py FILE
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

path = Path(sys.argv[1])
path.unlink(missing_ok=True)
with closing(sqlite3.connect(path)) as database, database:
    database.execute("create table parts (id integer primary key, name text, price real)")
    database.executemany(
        "insert into parts (name, price) values (?, ?)",
        [(f"part {number}", number / 4) for number in range(5000)],
    )
