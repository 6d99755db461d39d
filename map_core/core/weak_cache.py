"""Cache a function's results for the lifetime of its first argument."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")


def cached_weakly(function: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Cache a function's results by its first argument, which the cache does not keep alive, and by the others.

    Constraint: the first argument is compared by identity and never modified, the others are hashable, and a result
    does not refer to the first argument. Concurrent threads may compute the same result twice.
    """
    cache: WeakKeyDictionary[Any, dict[Any, R]] = WeakKeyDictionary()

    def cached(subject: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        results = cache.setdefault(subject, {})
        key = (args, tuple(sorted(kwargs.items())))
        if key not in results:
            results[key] = function(subject, *args, **kwargs)
        return results[key]

    functools.update_wrapper(cached, function)
    return cached
