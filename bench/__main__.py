"""``python -m bench``: every benchmark, one after the other."""

from bench import datapath, first_ping, store

for benchmark in (store, first_ping, datapath):
    benchmark.main()
