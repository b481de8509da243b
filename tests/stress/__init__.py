"""What a loop must survive: nothing leaked, nothing hung, no bytes delivered to a stranger.

These run on the loop under test alone; asyncio passes nearly all of them (`--loop asyncio`).
"""
