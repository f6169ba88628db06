"""Finished runs, each a folder of Parquet tables, JSON and its report."""
