"""The vRouter's tools: what the kernel's tables hold, in the layouts operators know.

``vif``, ``nh``, ``rt``, ``mpls``, ``vxlan`` and ``dropstats`` read the pinned maps and print.
They never write. Layouts are those of Tungsten Fabric's vRouter utilities, to the letter,
since people and scripts read them by column. Each layout is a pure function of records
(:mod:`interfaces`, :mod:`nexthops`, :mod:`routes`, :mod:`labels`, :mod:`drops`);
:mod:`reader` makes the records from the tables and :mod:`commands` are the programs.
"""
