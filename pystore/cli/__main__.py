"""`python -m pystore.cli`."""

from pystore.cli import main

main()
