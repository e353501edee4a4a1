"""``python -m synthsift`` is the command line."""

from synthsift.cli import main

main()
