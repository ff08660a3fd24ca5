"""The built-in protocols by their short names, for tests that score without a recipe."""

from collections.abc import Mapping
from typing import Any

from cliffkit.components.load import load_plugins
from cliffkit.protocols import Protocol
from cliffkit.recipe.evaluate import check_protocol

REGISTRY = load_plugins(strict=True).registry


def protocol(spec: str | Mapping[str, Any]) -> Protocol:
    """The protocol that a recipe would have."""
    return check_protocol(spec, REGISTRY)


PROTOCOLS = {name: protocol(name) for name in REGISTRY.names("protocol")}
