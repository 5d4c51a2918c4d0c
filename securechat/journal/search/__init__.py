"""Full-text search: a reader of the log with a file of its own, `search.db`, which can be deleted at any time.

`index` follows the log, `searcher` answers, `check` compares the two; `tables` knows the file, `matching` what a text
is found by. None of them knows who may read what, and nothing waits for them.
"""

from securechat.journal.search.check import check
from securechat.journal.search.index import Index, Log
from securechat.journal.search.searcher import Hit, Searcher

__all__ = ["Hit", "Index", "Log", "Searcher", "check"]
