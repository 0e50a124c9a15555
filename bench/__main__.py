"""``python -m bench``: every benchmark, one after the other."""

from bench import api, datapath, first_ping, store

for benchmark in (store, api, first_ping, datapath):
    benchmark.main()
