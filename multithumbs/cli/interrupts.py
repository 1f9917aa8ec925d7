"""An interrupt that cannot get lost."""

import _thread
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

AGAIN_S: Final = 0.05


@contextmanager
def heard() -> Iterator[None]:
    """Within, a KeyboardInterrupt that falls into a finaliser or a weak reference's callback (an
    import has those) is raised again a moment later; CPython prints it and goes on."""

    def again(ignored: "UnraisableHookArgs") -> None:
        if not issubclass(ignored.exc_type, KeyboardInterrupt):
            before(ignored)
            return
        # Not here: what a hook raises is ignored, too.
        timer = threading.Timer(AGAIN_S, _thread.interrupt_main)
        timer.daemon = True
        timer.start()

    before, sys.unraisablehook = sys.unraisablehook, again
    try:
        yield
    finally:
        sys.unraisablehook = before
