"""A server that speaks Polymarket's wire, with a matching core and real signatures behind it.

``python -m venue.simulator`` serves on one port, prefixes in place of the venue's host names:
``/clob``, ``/gamma``, ``/data``, ``/relayer``, ``/rpc``, ``/rfq``; WebSockets at ``/ws/market``,
``/ws/user``, ``/ws/prices`` (RTDS) and ``/ws/live`` (PolyBolt). ``/admin/status``,
``/admin/ledger/{address}`` and ``/admin/faults`` are its own (`floor sim`).

Where it must choose, because the venue is real and it is not:

Money
    A wallet that authenticates for the first time is given INITIAL_CAPITAL. An owner's EOA, proxy,
    safe and deposit wallet are separate wallets and each gets it at its first use. Winning shares
    are paid at resolution without being asked for, as by the venue's auto-redeem operator. Makers
    are paid their rebates once a day and market (`rebates`).
Books
    *replay* plays three recorded 15-minute BTC windows second by second on fresh windows, then
    their mirror image (log returns of the spot negated, Up and Down exchanged: an exact symmetry
    but for a tie), for ever; so the price continues from window to window and never drifts away.
    Before a recording's first row, and in windows that have not started, 100 shares stand at 0.49
    and at 0.51. Only five levels a side were recorded; there is nothing behind them. Recorded
    last trades become takers of that side, price and size. *model* makes books around a digital
    option's fair value; it serves every window there is no recording of. *mirror* (paper trading)
    copies the live venue.
    Depth that a client takes comes back only when the source next gives that level another size.
Time
    Everything recorded or modelled is a function of the clock, so a restart continues where time
    is, not where it stopped. SIM_WINDOW_SECONDS squeezes the recording into shorter windows; the
    60-second averages of modelled windows then reach back into earlier windows.
Resolution
    Replayed windows settle by the boundary rule, which is what their recorded books priced;
    modelled ones by the 60-second average. Gamma's ``cryptoMarketConfig`` says which. Orders are
    refused from a window's end, and what rests is cancelled at its resolution, 3 s later.
Keys
    An address may have one API key per nonce. Cancel-all, cancel-market-orders and heartbeats act
    on the key's own orders; trades, open orders, balances and events belong to the address. A key
    that ever sent a heartbeat and is silent loses its orders, new ones too, until it speaks again.
Limits
    Per signer at once, with headers, on the venue's clock. Per address and endpoint as at the
    network's edge: a request over its limit waits, and only past 5 s is it refused with 429.
Money on the wire
    A trade's top level is its taker's, whoever reads it; a maker is in ``maker_orders``. Rewards,
    scoring, notifications and RFQ answer in their shapes that there is nothing.
Disk
    One commit serves everybody who acted in the same turn of the event loop.
    Clients' keys, wallets, balances, orders, trades and windows are committed to SQLite before an
    answer or an event leaves. Orders in their taker delay when the process dies begin it anew.
"""
