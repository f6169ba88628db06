"""How the venue says no: a status and a text that clients parse."""

from typing import Any


class Refusal(Exception):
    """A request is refused and nothing changed; the server turns this into the HTTP answer.

    Parameters
    ----------
    status
        HTTP status.
    error
        The venue's own text.
    body
        Further keys of the JSON body.
    headers
        Further headers, for example ``Retry-After``.
    page
        HTML that is sent instead of the JSON body.
    """

    def __init__(
        self,
        status: int,
        error: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        page: str | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.body = {"error": error, **(body or {})}
        self.headers = headers or {}
        self.page = page


def bad(error: str) -> Refusal:
    return Refusal(400, error)


def unauthorized(error: str = "Unauthorized/Invalid api key") -> Refusal:
    return Refusal(401, error)


def not_found(error: str) -> Refusal:
    return Refusal(404, error)
