"""Web servers people use, under `wrk`."""
