"""A checked part: a component with its options, every default written out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import to_jsonable_python

from cliffkit.components.registry import Component
from cliffkit.errors import PartError, Stopped, UserError, cause


@dataclass(frozen=True)
class Part:
    """A component with its options, complete."""

    component: Component
    options: Mapping[str, Any]
    """What its factory takes by keyword."""
    engine: Mapping[str, Any]
    """What the engine does with it: a data set's `size`, a loss's `weight`."""
    place: str
    """Where the recipe names it, for errors."""

    def build(self, *wired: Any) -> Any:
        """Call the factory. Raises UserError with the recipe's line where it raises anything.

        A ValueError is a fault that the user can mend. Any other exception is a fault of the plugin, a PartError.
        """
        component = self.component
        factory = component.load()
        try:
            return factory(*wired, **self.options)
        except ValueError as error:
            raise UserError(f"{self.place}: {error}") from error
        except (KeyboardInterrupt, Stopped):
            raise
        except BaseException as error:  # whatever a stranger's factory raises
            raise PartError(
                f"{self.place}: {component} cannot be built: {cause(error)}; change the part's options, or mend or "
                "uninstall the plugin"
            ) from error

    def without_weights(self) -> Part:
        """Give the same part without weights of its own, for a network over which trained weights are loaded."""
        bare = {"pretrained": False, "weights": None}
        return replace(self, options={name: bare.get(name, value) for name, value in self.options.items()})

    def to_dict(self) -> dict[str, Any]:
        """Write the part as a recipe does, every default in, JSON-able."""
        plain: dict[str, Any] = to_jsonable_python({**self.engine, **self.options})
        return {"use": self.component.name, **plain}


def is_trained(embedding: Part) -> bool:
    """Tell whether an embedding generator is fitted to depth maps: it can be, and the recipe does not say otherwise."""
    return _has_weights(embedding) and bool(embedding.engine["trained"])


def is_prepared(embedding: Part) -> bool:
    """Tell whether an embedding generator has a stage of its own: for its weights, or to measure its features."""
    return _has_weights(embedding) or embedding.engine["scale"] == "unit"


def _has_weights(embedding: Part) -> bool:
    return bool(getattr(embedding.component.load(), "trained", True))
