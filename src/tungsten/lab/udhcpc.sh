#!/bin/sh
# What udhcpc runs for each event: puts the lease on the interface, in its own namespace.
# Values come in the environment (busybox udhcpc): ip, mask (prefix length), router, mtu,
# staticroutes ("prefix gateway prefix gateway ...", RFC 3442).
set -eu
case "$1" in
deconfig)
    ip addr flush dev "$interface"
    ip link set "$interface" up
    ;;
bound | renew)
    [ -z "${mtu:-}" ] || ip link set "$interface" mtu "$mtu"
    ip addr replace "$ip/$mask" dev "$interface"
    if [ -n "${staticroutes:-}" ]; then
        set -- $staticroutes
        while [ $# -ge 2 ]; do
            if [ "$2" = 0.0.0.0 ]; then
                ip route replace "$1" dev "$interface"
            else
                ip route replace "$1" via "$2" dev "$interface"
            fi
            shift 2
        done
    else
        for gateway in ${router:-}; do
            ip route replace default via "$gateway" dev "$interface"
            break
        done
    fi
    ;;
esac
