"""API keys: one per agent (its L1 nonce), derived rather than created, kept for the next start.

The venue revokes keys of accounts that create many, so a key is created only when there is none
to derive. The kept file is a convenience: losing it costs one request.
"""

import hashlib

import msgspec
import structlog
from eth_account import Account
from polymarket.errors import PolymarketError, RequestRejectedError
from polymarket.models import ApiKeyCreds
from pydantic import SecretStr

from models.errors import ConfigError, VenueUnknown
from models.settings import Settings
from venue.polymarket.endpoints import Endpoints
from venue.polymarket.environment import api_key
from venue.polymarket.errors import Call, decide
from venue.wallet import credentials_dir, write_private

log = structlog.get_logger(__name__)


class _Kept(msgspec.Struct):
    """The kept file. Nothing prints it."""

    clob: str
    address: str
    nonce: int
    key: str
    secret: str
    passphrase: str

    def __repr__(self) -> str:
        return f"_Kept(address={self.address}, nonce={self.nonce}, secrets hidden)"


class Credentials:
    """API key of one nonce of one wallet at one venue."""

    def __init__(
        self, settings: Settings, where: Endpoints, private_key: SecretStr, nonce: int
    ) -> None:
        self._where = where
        self._private_key = private_key
        self._nonce = nonce
        self._address = str(Account.from_key(private_key.get_secret_value()).address)
        name = hashlib.sha256(f"{where.clob}|{self._address}|{nonce}".encode()).hexdigest()[:24]
        self._path = credentials_dir(settings) / f"api-key-{name}.json"

    @property
    def address(self) -> str:
        """Address of the signer."""
        return self._address

    def kept(self) -> ApiKeyCreds | None:
        """Return the kept key; None when there is none or the file is not ours or not whole."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        if (kept.clob, kept.address, kept.nonce) != (self._where.clob, self._address, self._nonce):
            return None
        return _creds(kept.key, kept.secret, kept.passphrase)

    async def fetch(self) -> ApiKeyCreds:
        """Derive the key, create it if there is none yet, and keep it.

        Raises
        ------
        VenueUnavailable, VenueUnknown
            The venue does not answer or takes no such requests now.
        ConfigError
            The venue refuses this wallet.
        """
        creds = await self._derive() or await self._create() or await self._derive()
        if creds is None:
            raise ConfigError(
                f"the venue neither derives nor creates an API key for {self._address} with nonce "
                f"{self._nonce}; check the wallet and that the machine's clock is right"
            )
        self._keep(creds)
        log.info("api_key_ready", address=self._address, nonce=self._nonce)
        return creds

    async def _derive(self) -> ApiKeyCreds | None:
        return await self._ask(create=False)

    async def _create(self) -> ApiKeyCreds | None:
        return await self._ask(create=True)

    async def _ask(self, *, create: bool) -> ApiKeyCreds | None:
        """Ask the venue; None when it says that this cannot be done."""
        secret = self._private_key.get_secret_value()
        try:
            creds = await api_key(secret, self._nonce, self._where, create=create)
        except RequestRejectedError as error:
            if error.status in (400, 401, 404) and error.restriction is None:
                return None
            raise decide(error, Call.READ) from None
        except PolymarketError as error:
            raise decide(error, Call.READ) from None
        if not (creds.key and creds.secret and creds.passphrase):
            raise VenueUnknown("the venue answered with an incomplete API key")
        return creds

    def _keep(self, creds: ApiKeyCreds) -> None:
        kept = _Kept(
            clob=self._where.clob,
            address=self._address,
            nonce=self._nonce,
            key=creds.key,
            secret=creds.secret,
            passphrase=creds.passphrase,
        )
        write_private(self._path, msgspec.json.encode(kept).decode())


def _creds(key: str, secret: str, passphrase: str) -> ApiKeyCreds:
    return ApiKeyCreds.model_validate({"apiKey": key, "secret": secret, "passphrase": passphrase})
