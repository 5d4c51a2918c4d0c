"""Order and durability: proposals get their one order, are decided, committed, and only then told to anybody.

It knows nothing of sockets, frames or sessions: who proposed comes in and goes out as an opaque `origin`.
"""
