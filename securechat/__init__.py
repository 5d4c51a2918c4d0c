"""securechat: a private chat server, its terminal client and its admin CLI."""

__version__ = "0.1.0"
