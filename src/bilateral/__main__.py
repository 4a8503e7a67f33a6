"""`python -m bilateral`."""

from .cli.main import main

if __name__ == "__main__":
    main()
