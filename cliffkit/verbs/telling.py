"""Events to everyone who listens: what shows them, and every plugin."""

from __future__ import annotations

from cliffkit.components.load import Plugins
from cliffkit.events import Emit, Event, Notice


class Listeners:
    """Tell an event to `show`, then to every plugin. A plugin that fails to hear is named once; work goes on."""

    def __init__(self, show: Emit, plugins: Plugins) -> None:
        self._show, self._plugins = show, plugins
        self._failed: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Tell one event."""
        self._show(event)
        for name, reason in self._plugins.call("cliffkit_event", event=event).items():
            if name not in self._failed:
                self._failed.add(name)
                self._show(Notice(f"plugin '{name}' failed to hear an event: {reason}"))
