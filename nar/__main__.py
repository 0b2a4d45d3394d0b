"""`python -m nar`: the same as the command `nar`."""

from nar.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
