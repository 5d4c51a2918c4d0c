"""The one vocabulary between a session and every protocol: requests (from a client) and events (to it).

Two tagged unions, one each way, so that a frame of the server's is an error when a client sends it. Fields that are
not known are refused in requests and ignored in events: an old client lives with a newer server.
Whoever needs a frame imports it from here; the three files behind this one are where each is written down.
"""

# The names are listed once, where they are defined: here, a list would only be one more thing to forget.
from securechat.protocols.answers import *  # noqa: F403 - see above
from securechat.protocols.records import *  # noqa: F403 - see above
from securechat.protocols.requests import *  # noqa: F403 - see above
