"""``python -m bench``: every benchmark, one after the other."""

from bench import datapath, first_ping

datapath.main()
first_ping.main()
