"""What arguments may be: checks that name the argument, what was expected and what was found."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """A kind of number. None of them is a bool, infinite or not a number.

    Attributes:
        text: What it is, for messages.
        holds: The condition on its value.
        whole: Whether it is an integer.
    """

    text: str
    holds: Callable[[Any], bool]
    whole: bool = False

    def allows(self, value: Any) -> bool:
        """Whether a value, of any type, is of this kind."""
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        finite = isinstance(value, Integral) or math.isfinite(value)
        return finite and bool(self.holds(value))


NUMBER = Kind('a finite number', lambda x: True)
POSITIVE = Kind('a positive number', lambda x: x > 0)
NOT_NEGATIVE = Kind('a number of at least 0', lambda x: x >= 0)
RATE = Kind('a number in [0, 1)', lambda x: 0 <= x < 1)
SHARE = Kind('a number in [0, 1]', lambda x: 0 <= x <= 1)
PART = Kind('a number in (0, 1]', lambda x: 0 < x <= 1)
COUNT = Kind('a positive integer', lambda x: x > 0, whole=True)
NATURAL = Kind('an integer of at least 0', lambda x: x >= 0, whole=True)
ODD = Kind('an odd number', lambda x: x > 0 and x % 2, whole=True)
ODD_OR_NONE = Kind('an odd number, or 0 for none', lambda x: x == 0 or ODD.holds(x), whole=True)


def check(kind: Kind, **arguments: Any) -> None:
    """Raise ValueError unless every argument, given by name, is a number of this kind."""
    for argument, value in arguments.items():
        if not kind.allows(value):
            raise ValueError(f'{argument} must be {kind.text}; got {value!r}')


def check_each(kind: Kind, **arguments: Any) -> None:
    """Raise ValueError unless every argument, given by name, is a sequence of this kind."""
    for argument, values in arguments.items():
        if not isinstance(values, Sequence) or not all(map(kind.allows, values)):
            raise ValueError(f'{argument} must be a list, each entry {kind.text}; got {values!r}')


def check_range(kind: Kind, **arguments: Any) -> None:
    """Raise ValueError unless every argument, given by name, is two ascending numbers."""
    check_each(kind, **arguments)
    for argument, values in arguments.items():
        if len(values) != 2 or values[0] > values[1]:
            raise ValueError(f'{argument} must be two numbers, ascending; got {values!r}')


def check_flags(**arguments: Any) -> None:
    """Raise ValueError unless every argument, given by name, is True or False."""
    for argument, value in arguments.items():
        if not isinstance(value, bool):
            raise ValueError(f'{argument} must be True or False; got {value!r}')


def check_choice(argument: str, value: object, allowed: Sequence[object]) -> None:
    """Raise ValueError unless ``value`` is one of ``allowed``, of the same type."""
    if not any(type(value) is type(option) and value == option for option in allowed):
        options = ', '.join(map(repr, allowed))
        raise ValueError(f'{argument} must be one of {options}; got {value!r}')


def check_size(argument: str, size: Any) -> None:
    """Raise ValueError unless ``size`` is three positive integers."""
    is_triple = isinstance(size, Sequence) and len(size) == 3
    if not is_triple or not all(map(COUNT.allows, size)):
        raise ValueError(
            f'{argument} must be (frames, height, width), positive integers; got {size!r}'
        )
