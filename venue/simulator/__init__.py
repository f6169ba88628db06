"""A server that speaks Polymarket's wire, with a matching core and real signatures behind it."""
