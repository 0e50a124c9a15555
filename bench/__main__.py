"""``python -m bench``: every benchmark, one after the other."""

from bench import api, controller, datapath, etcd_api, first_ping, store

for benchmark in (store, api, controller, etcd_api, first_ping, datapath):
    benchmark.main()
