"""The contracts between the engine and its parts: one class per kind of component.

Each class here is abstract; a component is a final subclass of one of them. What the engine wires into a factory is
positional; the factory's keyword-only parameters are the component's options in a recipe, with their types and
defaults. Every docstring says which positional arguments the engine passes.

Shapes: B images, C channels, H x W pixels. Levels of features run from fine to coarse.
"""

from cliffkit.interfaces.dataset import Dataset
from cliffkit.interfaces.executor import Executor, Place, Result, Task
from cliffkit.interfaces.losses import Embedding, Loss, features_of
from cliffkit.interfaces.metric import Metric, ScoredDepth
from cliffkit.interfaces.network import Backbone, Fusion, Head, Network, Prediction, Pyramid
from cliffkit.interfaces.sample import Batch, Sample
from cliffkit.interfaces.tracker import Parameter, Point, State, Tracker
from cliffkit.interfaces.training import Augment, OptimizerFactory, ParameterGroup, Schedule

__all__ = [
    "Augment",
    "Backbone",
    "Batch",
    "Dataset",
    "Embedding",
    "Executor",
    "Fusion",
    "Head",
    "Loss",
    "Metric",
    "Network",
    "OptimizerFactory",
    "Parameter",
    "ParameterGroup",
    "Place",
    "Point",
    "Prediction",
    "Pyramid",
    "Result",
    "Sample",
    "Schedule",
    "ScoredDepth",
    "State",
    "Task",
    "Tracker",
    "features_of",
]
