"""Micro benchmarks: one operation of the loop at a time, over and over, in one process."""
