"""Harnesses that tests of several layers share.

========================================  =====================================================
:mod:`~tungsten.testing.permutations`     the same changes in any order give the same end state
:mod:`~tungsten.testing.invariants`       what must hold in a store, whatever happened
:mod:`~tungsten.testing.faultpoints`      kill a process at every fault point in turn
:mod:`~tungsten.testing.silence`          nothing changes while nothing is asked
:mod:`~tungsten.testing.processes`        processes lived on, and their logs are clean
:mod:`~tungsten.testing.settling`         wait until a follower of the store has caught up
:mod:`~tungsten.testing.etcd`             an etcd, of one member or several, to be killed
========================================  =====================================================

Only tests import it.
"""
