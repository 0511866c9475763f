"""`python -m shadows` is the command `shadows`."""

from shadows.cli import main

main()
