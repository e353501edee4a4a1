"""The command line: parse, call, write."""

from __future__ import annotations


def main() -> None:
    """Run the command line; console entry point."""
    from synthsift.cli.app import run_app

    run_app()
