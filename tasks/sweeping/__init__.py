"""A search over parameters: planned, tried on many processors, judged, kept."""
