"""Trackers that people have; each needs the extra of its name, as `cliffkit[tensorboard]`."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the trackers; their libraries are imported when a run uses them."""
    registry.add("tracker", "mlflow", "cliffkit_trackers.mlflow_runs:MlflowRuns", "MLflow, on a server or in a file")
    registry.add(
        "tracker", "tensorboard", "cliffkit_trackers.event_files:EventFiles", "TensorBoard's files, in the runs folder"
    )
