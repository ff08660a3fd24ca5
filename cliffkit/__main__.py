"""`python -m cliffkit`, so that launchers of several processes can start it."""

from cliffkit.cli.main import main

main()
