"""Every command, imported once so that it registers with the app, in the order in which `--help` lists them."""

from securechat.cli import cert as cert
from securechat.cli import certificates as certificates
from securechat.cli import cluster as cluster
from securechat.cli import connect as connect
from securechat.cli import consumers as consumers
from securechat.cli import doctor as doctor
from securechat.cli import hooks as hooks
from securechat.cli import invitations as invitations
from securechat.cli import join as join
from securechat.cli import migrate as migrate
from securechat.cli import moderation as moderation
from securechat.cli import past as past
from securechat.cli import people as people
from securechat.cli import profiles as profiles
from securechat.cli import proof as proof
from securechat.cli import rooms as rooms
from securechat.cli import send as send
from securechat.cli import serve as serve
from securechat.cli import server as server
from securechat.cli import sessions as sessions
from securechat.cli import settings as settings
from securechat.cli import tail as tail
from securechat.cli import users as users
