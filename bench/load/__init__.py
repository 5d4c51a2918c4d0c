"""The load generator: processes that hold many connections each, say things, and check what they hear."""
