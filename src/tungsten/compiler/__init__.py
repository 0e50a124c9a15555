"""From what people want to what the network does: routing instances, route targets, ACLs.

========================================  =====================================================
:mod:`~tungsten.compiler.engine`          memoised queries that know what they read
:mod:`~tungsten.compiler.graph`           the configuration as queries see it
:mod:`~tungsten.compiler.held`            what is kept of a record for them
:mod:`~tungsten.compiler.networks`        virtual networks and interfaces
:mod:`~tungsten.compiler.security`        security groups
:mod:`~tungsten.compiler.peering`         BGP sessions between the system's speakers
:mod:`~tungsten.compiler.rules`           the wiring of these
:mod:`~tungsten.compiler.derived`         what queries return
:mod:`~tungsten.compiler.pools`           numbers that are given out and kept
:mod:`~tungsten.compiler.wanted`          all that should be
:mod:`~tungsten.compiler.output`          the difference to what is, as a transaction
:mod:`~tungsten.compiler.compile`         the whole, without I/O
:mod:`~tungsten.compiler.service`         the whole, following a store
========================================  =====================================================
"""
