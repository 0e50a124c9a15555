"""Which part of the configuration graph an agent gets.

The walk starts at the agent's ``virtual-router`` node. From a node, links whose metadata is in
the row of its type are followed, to neighbours whose type has a row itself; a type without a
row is never sent, a type with an empty row is sent and not walked on from. Nodes that hold what
a link says have the link's metadata as type and are followed through. The rows are those of
upstream's control node.
"""

from __future__ import annotations

_ROWS = """
virtual-router: physical-router-virtual-router virtual-router-virtual-machine
  virtual-router-network-ipam global-system-config-virtual-router
  provider-attachment-virtual-router virtual-router-virtual-machine-interface
virtual-router-network-ipam: virtual-router-network-ipam
virtual-machine: virtual-machine-service-instance virtual-machine-interface-virtual-machine
  virtual-machine-tag
bgp-router: instance-bgp-router physical-router-bgp-router bgp-router-control-node-zone
bgp-as-a-service: bgpaas-bgp-router bgpaas-health-check bgpaas-control-node-zone
bgpaas-control-node-zone: bgpaas-control-node-zone
global-system-config: global-system-config-global-vrouter-config
  global-system-config-global-qos-config global-system-config-bgp-router
  qos-config-global-system-config
global-vrouter-config: application-policy-set-global-vrouter-config
  global-vrouter-config-security-logging-object
global-qos-config: global-qos-config-forwarding-class global-qos-config-qos-queue
  global-qos-config-qos-config
forwarding-class: forwarding-class-qos-queue
service-instance: service-instance-service-template service-instance-port-tuple
service-template: domain-service-template
port-tuple: service-instance-port-tuple port-tuple-interface
virtual-machine-interface: virtual-machine-virtual-machine-interface
  virtual-machine-interface-sub-interface instance-ip-virtual-machine-interface
  virtual-machine-interface-virtual-network virtual-machine-interface-security-group
  floating-ip-virtual-machine-interface alias-ip-virtual-machine-interface
  customer-attachment-virtual-machine-interface virtual-machine-interface-routing-instance
  virtual-machine-interface-route-table subnet-virtual-machine-interface
  service-port-health-check bgpaas-virtual-machine-interface
  virtual-machine-interface-qos-config virtual-machine-interface-bridge-domain
  virtual-machine-interface-security-logging-object project-virtual-machine-interface
  port-tuple-interface virtual-machine-interface-tag virtual-machine-interface-bgp-router
virtual-machine-interface-bridge-domain: virtual-machine-interface-bridge-domain
virtual-machine-interface-routing-instance: virtual-machine-interface-routing-instance
security-group: security-group-access-control-list
physical-router: physical-router-physical-interface physical-router-logical-interface
  physical-router-virtual-network
physical-interface: physical-interface-logical-interface virtual-port-group-physical-interface
virtual-port-group-physical-interface: virtual-port-group-physical-interface
virtual-port-group: virtual-port-group-virtual-machine-interface
  virtual-port-group-physical-interface
logical-interface: logical-interface-virtual-machine-interface
instance-ip: instance-ip-virtual-network
virtual-network: virtual-network-floating-ip-pool virtual-network-alias-ip-pool
  virtual-network-network-ipam virtual-network-access-control-list
  virtual-network-routing-instance virtual-network-qos-config virtual-network-bridge-domain
  virtual-network-security-logging-object virtual-network-tag virtual-network-provider-network
  virtual-network-multicast-policy vn-health-check host-based-service-virtual-network
virtual-network-network-ipam: virtual-network-network-ipam
floating-ip: floating-ip-pool-floating-ip instance-ip-floating-ip
floating-ip-pool: virtual-network-floating-ip-pool
alias-ip: alias-ip-pool-alias-ip
alias-ip-pool: virtual-network-alias-ip-pool
logical-router: logical-router-virtual-network logical-router-interface
logical-router-virtual-network: logical-router-virtual-network
domain: domain-namespace domain-virtual-DNS
virtual-DNS: virtual-DNS-virtual-DNS-record
network-ipam: network-ipam-virtual-DNS
project: project-tag project-logical-router project-host-based-service
security-logging-object: virtual-network-security-logging-object
  virtual-machine-interface-security-logging-object
  global-vrouter-config-security-logging-object security-logging-object-network-policy
  security-logging-object-security-group
tag: application-policy-set-tag
application-policy-set: application-policy-set-firewall-policy
  policy-management-application-policy-set
application-policy-set-firewall-policy: application-policy-set-firewall-policy
firewall-policy: firewall-policy-firewall-rule firewall-policy-security-logging-object
firewall-policy-firewall-rule: firewall-policy-firewall-rule
firewall-policy-security-logging-object: firewall-policy-security-logging-object
firewall-rule-security-logging-object: firewall-rule-security-logging-object
firewall-rule: firewall-rule-tag firewall-rule-service-group firewall-rule-address-group
  firewall-rule-security-logging-object
address-group: address-group-tag
host-based-service: host-based-service-virtual-network
host-based-service-virtual-network: host-based-service-virtual-network
multicast-policy: virtual-network-multicast-policy
control-node-zone:
provider-attachment:
customer-attachment:
access-control-list:
routing-instance:
namespace:
virtual-DNS-record:
interface-route-table:
subnet:
service-health-check:
qos-config:
qos-queue:
bridge-domain:
service-group:
policy-management:
"""


def _read(rows: str) -> dict[str, frozenset[str]]:
    table: dict[str, list[str]] = {}
    row: list[str] = []
    for line in rows.strip().splitlines():
        if line.startswith(" "):
            row += line.split()
            continue
        type_, _, names = line.partition(":")
        row = table.setdefault(type_, [])
        row += names.split()
    return {type_: frozenset(names) for type_, names in table.items()}


#: Metadata of links followed from a node, by the node's type.
FOLLOWED: dict[str, frozenset[str]] = _read(_ROWS)
