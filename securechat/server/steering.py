"""What a running server does about each request of a command. It knows neither sockets nor commands."""

from securechat.server.control import Answer, Request, submit
from securechat.server.services import Services


class Steering:
    """Acts on requests, on the thread of the local socket."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def act(self, request: Request, uid: int | None) -> Answer:
        """Do it; `uid` is the user who asks. Raises SecurechatError."""
        return submit(self._services.journal, request.proposal)
