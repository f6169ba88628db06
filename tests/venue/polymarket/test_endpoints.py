import pytest
from polymarket import AsyncSecureClient
from polymarket._internal.environment import get_environment_config

from models.errors import ConfigError
from models.settings import Settings, TradingMode
from venue.polymarket import environment as sdk
from venue.polymarket.endpoints import endpoints


def test_simulated_addresses_are_all_local(settings: Settings) -> None:
    where = endpoints(settings.model_copy(update={"sim_port": 9123}))
    assert where.clob == where.clob_data == "http://127.0.0.1:9123/clob"
    assert where.gamma == "http://127.0.0.1:9123/gamma"
    assert where.ws_user == "ws://127.0.0.1:9123/ws/user"
    assert all("127.0.0.1:9123" in getattr(where, name) for name in where.__slots__)


def test_a_simulator_elsewhere_is_asked_there_for_everything(settings: Settings) -> None:
    where = endpoints(settings.model_copy(update={"sim_url": "https://sim.example:9"}))
    assert where.clob == "https://sim.example:9/clob"
    assert where.ws_user == "wss://sim.example:9/ws/user"
    assert all("://sim.example:9/" in getattr(where, name) for name in where.__slots__)


def test_paper_sends_orders_home_and_reads_the_live_market(settings: Settings) -> None:
    paper = endpoints(settings.model_copy(update={"trading_mode": TradingMode.PAPER}))
    live = endpoints(settings.model_copy(update={"trading_mode": TradingMode.LIVE}))
    local = endpoints(settings)
    assert (paper.clob, paper.ws_user, paper.relayer) == (local.clob, local.ws_user, local.relayer)
    assert (paper.clob_data, paper.gamma, paper.ws_market, paper.ws_prices) == (
        live.clob_data, live.gamma, live.ws_market, live.ws_prices,
    )  # fmt: skip
    assert "127.0.0.1" not in live.clob


def test_a_stand_in_environment_reaches_no_real_service(settings: Settings) -> None:
    config = get_environment_config(sdk.environment(endpoints(settings)))
    for name in ("clob_url", "gamma_url", "data_url", "relayer_url", "rfq_url", "rpc_url"):
        assert "127.0.0.1" in getattr(config, name)


def test_the_installed_sdk_has_the_insides_we_use() -> None:
    sdk.check_sdk()


@pytest.mark.parametrize("name", ["_create", "post_order", "cancel_orders"])
def test_a_changed_sdk_is_named_at_start(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delattr(AsyncSecureClient, name)
    with pytest.raises(ConfigError, match=f"{name} is gone"):
        sdk.check_sdk()


def test_a_changed_signature_is_named_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AsyncSecureClient, "_create", lambda private_key: None)
    with pytest.raises(ConfigError, match="no longer takes credentials, validate_credentials"):
        sdk.check_sdk()
