"""Clients: programs that ask, and what a request costs them."""
