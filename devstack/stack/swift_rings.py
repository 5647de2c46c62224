#!/usr/bin/python3
"""Writes the rings of a Swift with one device and one replica.

    swift_rings.py DIR OBJECT_PORT CONTAINER_PORT ACCOUNT_PORT

In place of nine calls of swift-ring-builder, each of which starts Python.
"""

import os
import sys

from swift.common.ring import RingBuilder

PART_POWER = 6


def main():
    directory, objects, containers, accounts = sys.argv[1:]
    rings = {"object": objects, "object-1": objects,
             "container": containers, "account": accounts}
    for name, port in rings.items():
        ring = RingBuilder(PART_POWER, 1, 0)
        ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1",
                      "port": int(port), "device": "d1", "weight": 1})
        ring.rebalance()
        ring.get_ring().save(os.path.join(directory, name + ".ring.gz"))


if __name__ == "__main__":
    main()
