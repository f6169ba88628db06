"""How a second of trading goes: books, matching core, order manager, trader loop.

Knows neither Prefect, database nor HTTP; it is given ports.
"""
