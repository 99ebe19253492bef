"""What the commands share: arguments, signals, progress."""
