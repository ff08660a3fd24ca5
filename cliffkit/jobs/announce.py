"""Events to all who listen: the caller, and every plugin that implements `cliffkit_event`."""

from __future__ import annotations

from cliffkit.components.load import Plugins
from cliffkit.events import Emit, Event, Notice


def announcer(plugins: Plugins, tell: Emit) -> Emit:
    """Make a function that tells an event to `tell` and to every plugin.

    A plugin that fails to hear an event is named once, by a Notice to `tell`, however many events follow.
    """
    named: set[str] = set()

    def emit(event: Event) -> None:
        tell(event)
        for plugin, reason in plugins.call("cliffkit_event", event=event).items():
            if plugin not in named:
                named.add(plugin)
                tell(Notice(f"plugin '{plugin}' failed to hear an event: {reason}"))

    return emit
