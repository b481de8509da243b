"""How a release is made: wheels for every platform, and what holds before they are published."""
