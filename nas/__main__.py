"""`python -m nas` is the command `nas`. It is a door: it imports what stands above, and nothing it."""

from studies.cli import main

if __name__ == "__main__":
    main()
