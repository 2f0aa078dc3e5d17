"""Waiting for a condition, with a deadline."""
import time


def wait_until(condition, what, seconds=120, pause=0.05):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(pause)
    raise AssertionError(f"not within {seconds} s: {what}")
