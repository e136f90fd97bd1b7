"""Types of the options that several commands share; a value out of range is told in one sentence."""

from __future__ import annotations

import argparse
import math
import re

#: Largest seed; torch takes 64 bits, numpy any number that is not negative.
_MOST = 2**31 - 1


def finite(text: str) -> float:
    """Read a finite number."""
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return value


def positive(text: str) -> float:
    """Read a finite number above 0."""
    value = finite(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def count(text: str) -> int:
    """Read a whole number from 0 to 2,147,483,647."""
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def positive_count(text: str) -> int:
    """Read a whole number from 1 to 2,147,483,647."""
    value = count(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return value
