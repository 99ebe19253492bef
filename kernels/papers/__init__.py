"""What single papers need compiled: a networks of two and more layers, their data, random teachers."""
