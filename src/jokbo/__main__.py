"""``python -m jokbo``."""

from jokbo.cli.main import main

if __name__ == "__main__":
    main()
