"""Programs that `make lint` has mypy check, as their users would."""
