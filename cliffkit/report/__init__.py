"""A study's report: one page, Markdown, LaTeX, CSV, figures."""
