"""Several images in work at a time, the processor's threads shared among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

import torch

from cliffkit.workers import in_order

STREAMS = 4
"""Images in work at a time: a thread each wastes less than all of them on every layer."""

A = TypeVar("A")
B = TypeVar("B")


def in_streams(work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """Apply `work`, which predicts, to items; results come in the items' order, as `in_order` gives them."""
    threads = torch.get_num_threads()
    streams = min(STREAMS, threads)
    try:
        yield from in_order(work, items, streams, partial(torch.set_num_threads, threads // streams))
    finally:
        torch.set_num_threads(threads)  # for threads to come
