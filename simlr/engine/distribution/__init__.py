"""How losses are distributed over the noise, where the iterate is normal."""
