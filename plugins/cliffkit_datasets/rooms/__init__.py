"""Data set `rooms`: procedural indoor scenes, ray-cast in numpy, with true metric depth."""

from .dataset import Rooms

__all__ = ["Rooms"]
