"""The layers of a module in their order, from its input to its output, for learning rates that differ by layer."""

from __future__ import annotations

from torch import nn


def number_layers(module: nn.Module) -> dict[str, int]:
    """Give the number of each parameter's layer, by name, counted from a module's input to its output.

    A layer is a member of a list or sequence of modules, such as a block of a transformer, in the order in which the
    module registers them; of lists within lists the outermost counts. What lies outside of all lists belongs to the
    layer before it: the stem to layer 0, before the first list, and a last normalisation to the last layer. For a
    vision transformer these are the layers of Bao et al., "BEiT: BERT Pre-Training of Image Transformers", ICLR 2022.
    """
    layers: dict[str, int] = {}
    _visit(module, "", 0, layers, outside=True)
    return layers


def _visit(module: nn.Module, prefix: str, number: int, layers: dict[str, int], *, outside: bool) -> int:
    """Put the layers of a module's parameters into `layers`; give the number of the last."""
    for name, _ in module.named_parameters(recurse=False):
        layers[prefix + name] = number
    begins = outside and isinstance(module, nn.Sequential | nn.ModuleList)
    for name, child in module.named_children():
        if begins and layers and any(True for _ in child.parameters()):
            number += 1
        number = _visit(child, f"{prefix}{name}.", number, layers, outside=outside and not begins)
    return number
