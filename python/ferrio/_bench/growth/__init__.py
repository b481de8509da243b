"""Cost growth: what one operation costs while there are more and more of what it is one of.

A family (`family`) is a row for each number of connections, timers or tasks; `connections` and
`crowd` make the rows, `families` lists them. A measurement of timers or tasks gives several costs
at once, so the curves (`curves`), a cost over the numbers for each loop, are drawn (`table`,
`plot`) from the details of the measurements.
"""
