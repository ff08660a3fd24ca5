"""cliffkit: a plugin-based ablation toolkit for monocular depth estimation."""

__version__ = "0.1.0"
