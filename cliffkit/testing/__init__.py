"""Conformance checks for plugin authors: one per kind of component, to be called from a test.

    def test_mine():
        check_fusion(MyFusion, width=3)

Each builds the component as the engine would, with the options given, and raises AssertionError with what was seen and
what the contract in `cliffkit.interfaces` asks for. No network, no data, no GPU: devices are checked on fake tensors.
"""

from cliffkit.testing.augment import check_augment
from cliffkit.testing.dataset import check_dataset
from cliffkit.testing.executor import check_executor
from cliffkit.testing.losses import check_embedding, check_loss
from cliffkit.testing.metric import check_metric
from cliffkit.testing.network import check_backbone, check_fusion, check_head, check_network, check_pyramid
from cliffkit.testing.protocol import check_protocol
from cliffkit.testing.tracker import check_tracker
from cliffkit.testing.training import check_optimizer, check_schedule

__all__ = [
    "check_augment",
    "check_backbone",
    "check_dataset",
    "check_embedding",
    "check_executor",
    "check_fusion",
    "check_head",
    "check_loss",
    "check_metric",
    "check_network",
    "check_optimizer",
    "check_protocol",
    "check_pyramid",
    "check_schedule",
    "check_tracker",
]
