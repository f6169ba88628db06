"""The matching loops, compiled: functions over integer arrays, no objects, no allocation."""
