"""``python -m tungsten`` is the ``tungsten`` command."""

from tungsten.main import main

main()
