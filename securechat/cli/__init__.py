"""The command line: parse, call, print, exit code; no logic. Commands import what they use when they run."""

from securechat.cli.app import app, main

__all__ = ["app", "main"]
