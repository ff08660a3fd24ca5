# Commands of those who change cliffkit: `just` lists them. `pip install --group dev` (pip 25.1 or newer) has what they need.
_list:
    @just --list

# Tests; `just test tests/method` those of a folder
test *WHAT:
    pytest {{WHAT}}

# Lint, layout and types
lint:
    ruff check .
    ruff format --check .
    mypy

# Write the generated parts of docs/reference anew
reference:
    cog -I docs/make -r docs/reference/*.md

# Follow the tutorials at full size, and write the outputs they show anew
tutorials:
    python docs/make/tutorials.py

# Draw the pictures of docs/gallery.md anew, from a finished run and study
gallery RUNS:
    python docs/make/gallery.py {{RUNS}}

# Build the site of the docs into site/
docs:
    mkdocs build

# Show the site while its pages are written
serve:
    mkdocs serve

# Tests at the lowest versions of dependencies that pyproject.toml allows
lowest:
    tests/scripts/lowest

# Everything that is checked of a change, in an environment made for it
ci:
    .ci/run
