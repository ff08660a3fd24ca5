"""Settings of a recipe that are right and come to nothing, since training is shorter than they are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from cliffkit.errors import UserError
from cliffkit.recipe.fit import Fit
from cliffkit.recipe.part import is_trained
from cliffkit.recipe.recipe import Recipe


def too_late(recipes: Collection[Recipe]) -> tuple[str, ...]:
    """Say of recipes what lies beyond the last step of a fit, each thing once, with both numbers."""
    return tuple(dict.fromkeys(text for recipe in recipes for text in _of(recipe)))


def _of(recipe: Recipe) -> Iterator[str]:
    train, embedding = recipe.train, recipe.embedding
    if embedding is not None:
        warmup, steps = embedding.engine["warmup_steps"], train.depth.settings.steps
        if warmup >= steps:
            yield (
                f"embedding.warmup_steps is {warmup}, and train.depth.steps {steps}: the embedding's term never has "
                "its full weight; write fewer steps of warm-up"
            )
        if train.embedding is not None and is_trained(embedding):
            yield from _of_fit("train.embedding", train.embedding)
    yield from _of_fit("train.depth", train.depth)


def _of_fit(path: str, fit: Fit) -> Iterator[str]:
    settings = fit.settings
    steps = settings.steps
    if settings.warmup_steps >= steps:
        yield (
            f"{path}.warmup_steps is {settings.warmup_steps}, and {path}.steps {steps}: the learning rate never comes "
            "to its full height; write fewer steps of warm-up"
        )
    if "validate_every" in settings.model_fields_set and settings.validate_every > steps:
        yield (
            f"{path}.validate_every is {settings.validate_every}, and {path}.steps {steps}: only the last step is "
            "validated, so no earlier weights can be kept; write fewer"
        )
    milestones = _milestones(fit)
    if milestones is None:
        return
    if not milestones and settings.reload_best:
        yield (
            f"{path}.reload_best acts at milestones of the schedule, and `{fit.schedule.component.name}` has none: "
            "write schedule: {use: step, milestones: [...]}, or leave reload_best out"
        )
    late = [str(milestone) for milestone in milestones if milestone >= steps]
    if late:
        yield (
            f"{path}.schedule: {path}.steps is {steps}, so the milestone{'s' * (len(late) > 1)} {', '.join(late)} "
            f"never come{'s' * (len(late) == 1)}; write fewer than {steps}"
        )


def _milestones(fit: Fit) -> Sequence[int] | None:
    """Give the milestones of a fit's schedule; None where it has none and none are asked for, or cannot be built."""
    if not (fit.settings.reload_best or fit.schedule.options.get("milestones")):
        return None
    try:
        milestones: Sequence[int] = tuple(fit.schedule.build(fit.settings.steps).milestones)
    except (UserError, AttributeError, TypeError):  # `run` tells what is wrong with it
        return None
    return milestones
