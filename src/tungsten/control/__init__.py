"""The control node: a route server between agents (XMPP), routers and other nodes (BGP).

Routes: :mod:`.paths` and :mod:`.tables` hold them, :mod:`.replication` copies them between
:mod:`.instances` by route target, :mod:`.xmpp_peers` and :mod:`.ribout` take them from agents
and tell agents. Configuration: :mod:`.config_graph` is the graph of what the store holds,
:mod:`.config_export` tells agents the part that concerns them, :mod:`.config_instances` reads
what control itself needs. :mod:`.service` joins them.
"""
