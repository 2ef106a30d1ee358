"""A view that is ahead of the log: what is to be added to it is folded aside first, and shown once it was added."""

from __future__ import annotations

from pystore.erasure import ERASED
from pystore.event import Recorded
from pystore.log import LogState
from pystore.marks import REDONE, UNDONE, Order
from pystore.projection import Projection
from pystore.projector import Projector
from pystore.view import View


class Aside:
    """A copy of a projection's view (an empty one for an empty `base`), ahead of it by events that are not in the log yet.

    It is given up at the first event that belongs before one in `base`, and at the first mark or erasure: then the log is folded anew.
    """

    def __init__(self, projection: Projection, base: LogState) -> None:
        self._projection = projection
        self._base = base
        self._projector: Projector | None = None
        self._is_given_up = False
        self.erased = base.erased
        """What was left out of it."""
        self.earliest: Order | None = None
        """The place of the first event that was folded."""

    def fold(self, events: list[Recorded]) -> None:
        """Fold `events`, which are in order, and come after those that were folded before."""
        self.earliest = self.earliest or events[0].order
        if events[0].order <= self._base.newest or any(event.type in (UNDONE, REDONE, ERASED) for event in events):
            self._is_given_up = True
            self.close()
        if not self._is_given_up:
            if self._projector is None:
                # Not before there is something to fold: it takes as much time and memory as the view is large.
                image = self._projection.view.image() if self._base.events else None
                self._projector = self._projection.projector_of(View(self._projection.schema, image))
                self._projector.marks = self._base.marks
            self._projector.fold(events)

    def take(self) -> View | None:
        """The view, which is the caller's from now on; None if there is none: it was given up, or nothing was folded."""
        projector, self._projector = self._projector, None
        return None if projector is None else projector.view

    def close(self) -> None:
        """Free the view, unless it was taken."""
        if (view := self.take()) is not None:
            view.close()
