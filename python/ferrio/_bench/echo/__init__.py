"""Echo: the same server written in the four ways in which asyncio programs do their networking."""
