"""A study's report: one page, Markdown, LaTeX, CSV, figures."""

import cliffkit.pictures  # noqa: F401  # before any module here imports matplotlib
