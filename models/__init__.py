"""What things are: value types, tables, settings, events. No I/O."""
