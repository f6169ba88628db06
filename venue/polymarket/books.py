"""Books by REST: the second opinion about what the market channel shows."""

import httpx
import msgspec

from models.errors import VenueUnavailable, VenueUnknown
from venue.polymarket.endpoints import Endpoints
from venue.polymarket.market_wire import RestBook, decode_books

MOST_BOOKS = 500
TIMEOUT = httpx.Timeout(5.0)


class BookSource:
    """Asks for books, many in one request."""

    def __init__(self, where: Endpoints) -> None:
        self._url = f"{where.clob_data}/books"
        self._http = httpx.AsyncClient(timeout=TIMEOUT)

    async def close(self) -> None:
        await self._http.aclose()

    async def books(self, tokens: list[str]) -> dict[str, RestBook]:
        """Books by token; a token the venue does not know is not in the answer.

        Raises
        ------
        VenueUnavailable, VenueUnknown
            The venue does not answer, or not sensibly.
        """
        found: dict[str, RestBook] = {}
        for start in range(0, len(tokens), MOST_BOOKS):
            for book in await self._ask(tokens[start : start + MOST_BOOKS]):
                found[book.asset_id] = book
        return found

    async def _ask(self, tokens: list[str]) -> list[RestBook]:
        body = [{"token_id": token} for token in tokens]
        try:
            response = await self._http.post(self._url, json=body)
        except httpx.HTTPError as error:
            raise VenueUnknown(f"/books: {error or type(error).__name__}") from error
        if response.status_code == 429:
            raise VenueUnavailable("/books: rate limited", "rate_limited")
        if response.status_code != 200:
            raise VenueUnknown(f"/books: status {response.status_code}")
        try:
            return decode_books(response.content)
        except msgspec.DecodeError as error:
            raise VenueUnknown(f"/books: the reply cannot be read: {error}") from error
