"""Run the command line as ``python -m monitor.cli``."""

from monitor.cli import main

main()
