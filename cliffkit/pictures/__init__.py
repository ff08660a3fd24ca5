"""Pictures of depth.

Every function writes a PNG to the path it is given, whatever the path's suffix, and leaves matplotlib's global state
alone. Depth is in metres; a NaN or infinity means that there is none, and is drawn grey."""

import logging


def _import_matplotlib() -> None:
    """Let matplotlib choose its folders, without a word where the home folder cannot be written.

    It then takes a temporary folder, which worker processes share and which it removes at the end.
    """
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        import matplotlib

        matplotlib.get_cachedir()
    finally:
        logger.setLevel(level)


_import_matplotlib()
