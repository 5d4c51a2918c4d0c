"""`python -m securechat` is the command `securechat`."""

from securechat.cli import main

main()
