"""`python -m toyflow`."""

from toyflow.cli import main

if __name__ == "__main__":
    main()
