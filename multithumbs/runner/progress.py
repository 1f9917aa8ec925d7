"""What the runner tells whoever watches."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Receives events in the order stage, item, advances, item, ..., stage."""

    def stage_begins(self, stage: str, items: int, frames: int) -> None: ...

    def item_begins(self, stage: str, item: str, frames: int) -> None: ...

    def item_advances(self, done: int, total: int) -> None:
        """Part of the current item that is done, in the stage's own units."""
        ...

    def item_ends(self, cached: bool, seconds: float) -> None: ...

    def stage_ends(self, stage: str, cached: bool, seconds: float) -> None: ...

    def warn(self, line: str) -> None:
        """One line that the user must see."""
        ...

    def note(self, line: str) -> None:
        """One line that tells where a longer job stands."""
        ...

    def close(self) -> None: ...


class Silent:
    """A `Progress` that keeps quiet."""

    def stage_begins(self, stage: str, items: int, frames: int) -> None:
        """Ignore."""

    def item_begins(self, stage: str, item: str, frames: int) -> None:
        """Ignore."""

    def item_advances(self, done: int, total: int) -> None:
        """Ignore."""

    def item_ends(self, cached: bool, seconds: float) -> None:
        """Ignore."""

    def stage_ends(self, stage: str, cached: bool, seconds: float) -> None:
        """Ignore."""

    def warn(self, line: str) -> None:
        """Ignore."""

    def note(self, line: str) -> None:
        """Ignore."""

    def close(self) -> None:
        """Ignore."""
