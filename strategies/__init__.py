"""What to do: the Strategy base class and the library. A view of the market in, intents out."""
