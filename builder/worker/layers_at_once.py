"""Layers of one image, unpacked several at a time.

A layer seldom needs what is below it to be unpacked; where it does, it waits for it. Layers are
begun in the order of the stack and wait for lower ones alone, so the lowest one that isn't done
never waits, and all get on. What is unpacked is handed over in order, so that the error that comes
out is the one of the lowest layer that has one, whatever the threads' pace.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from builder.worker.image_layout import SourceLayer
from builder.worker.image_source import ImageSource
from builder.worker.layer_stack import LayerStack
from builder.worker.layer_unpack import UnpackedLayer, unpack_layer
from builder.worker.stored_images import StoreParts

_THREADS = 3


class LayersAtOnce:
    """A `with` block: the threads end with it, and what wasn't committed is removed.

    `layers` are the ones to unpack, by their place in the stack.
    """

    def __init__(
        self,
        parts: StoreParts,
        source: ImageSource,
        layers: Mapping[int, SourceLayer],
        stack: LayerStack,
    ) -> None:
        self._parts = parts
        self._source = source
        self._layers = dict(sorted(layers.items()))
        self._stack = stack
        self._waiting = deque(self._layers)
        self._changed = threading.Condition()
        self._unpacked: dict[int, UnpackedLayer] = {}
        self._errors: dict[int, BaseException] = {}
        self._threads: list[threading.Thread] = []

    def take(self, place: int) -> UnpackedLayer:
        """The layer at `place`, as soon as it is unpacked; raises what went wrong with it.

        For one place after the other, lowest first. It is closed here.
        """
        with self._changed:
            while place not in self._unpacked and place not in self._errors:
                self._changed.wait()
        if place in self._errors:
            raise self._errors[place]
        return self._unpacked[place]

    def __enter__(self) -> Self:
        try:
            for _ in range(min(_THREADS, len(self._layers))):
                thread = threading.Thread(target=self._work, name="unpack", daemon=True)
                thread.start()
                self._threads.append(thread)
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._stack.abandon()
            self._source.cancel()
        for thread in self._threads:
            thread.join()
        for unpacked in self._unpacked.values():
            unpacked.close()

    def _work(self) -> None:
        while (place := self._next()) is not None:
            self._unpack(place)

    def _next(self) -> int | None:
        """What to unpack next; after an error nothing that is above it is wanted."""
        with self._changed:
            return None if self._errors or not self._waiting else self._waiting.popleft()

    def _unpack(self, place: int) -> None:
        try:
            self._stack.check()
            unpacked = unpack_layer(
                self._parts,
                self._source,
                self._layers[place],
                lambda: self._stack.lowerdirs_below(place),
                self._stack.check,
            )
        except BaseException as error:  # noqa: BLE001 - raised again by whoever takes the layer
            self._end(place, error)
        else:
            self._end(place, unpacked)

    def _end(self, place: int, outcome: UnpackedLayer | BaseException) -> None:
        with self._changed:
            if isinstance(outcome, BaseException):
                self._errors[place] = outcome
            else:
                self._unpacked[place] = outcome
            self._changed.notify_all()
