"""How people see and steer the floor: the command line and the local processes behind it."""
