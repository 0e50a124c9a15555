"""Tungsten: an open SDN, controller and vRouter, in Python with an eBPF datapath."""

__version__ = "0.1.0"
