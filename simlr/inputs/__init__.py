"""Files and values from outside: reading them, and the rules that they have to keep."""
