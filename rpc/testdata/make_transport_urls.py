#!/usr/bin/python3
"""Writes transport_urls.json: what oslo.messaging makes of transport URLs.

Needs Debian's python3-oslo.messaging; run it here, commit what it writes.
"""
import json
import os

from oslo_config import cfg
from oslo_messaging import transport

URLS = [
    'rabbit://user:pass@h1:5672/vhost',
    'rabbit://user:pass@h1:5672,user:pass@h2:5673/vhost',
    'rabbit://u1:p1@h1,u2:p2@h2:5673/',
    'rabbit://h1:5672,h2:5672/nova',
    'rabbit://h1',
    'rabbit://user@h1/x',
    'rabbit://user:@h1/x',
    'rabbit://user:pass@h1:5672',
    'rabbit://user:pass@h1:5672/',
    'rabbit://user:pass@h1:5672//',
    'rabbit://user:pass@h1:5672/%2F',
    'rabbit://user:pass@h1:5672//stowage',
    'rabbit://user:pass@h1:5672/a/b',
    'rabbit://user:p%40ss%3Aw%2Ford@h1/',
    'rabbit://us%40er:100%25@h1/',
    'rabbit://user:50%zz@h1/',
    'rabbit://user:tail%@h1/',
    'rabbit://user:tail%4@h1/',
    'rabbit://user:p@ss@h1/',
    'rabbit://user:pa:ss@h1/',
    'rabbit://user:pa+ss@h1/',
    'rabbit://user:pass@[fd00::1]:5672/vhost',
    'rabbit://user:pass@[fd00::1]/vhost',
    'rabbit://user:pass@[::1]:5672,user:pass@[::2]/vhost',
    'rabbit://user:pass@h1:/vhost',
    'rabbit://,user:pass@h1,/vhost',
    'rabbit://user:pass@h1/vhost?ssl=1',
    'rabbit://user:pass@h1/vhost?ssl=1&heartbeat_timeout_threshold=30',
    'rabbit://user:pass@h1/vhost?a=1&a=2&b=x%20y+z',
    'kombu://user:pass@h1/vhost',
    'amqp://user:pass@h1:5672,user:pass@h2:5672/nova',
    'kombu+amqp://user:pass@h1/vhost',
    'RABBIT://user:pass@h1/vhost',
    'rabbit://user:pass@H1.Example.ORG/vhost',
]


def parse(url):
    u = transport.TransportURL.parse(cfg.CONF, url)
    return {
        'url': url,
        'brokers': [{
            'host': h.hostname,
            'port': h.port or 0,
            'user': h.username or '',
            'password': h.password or '',
        } for h in u.hosts],
        # Kombu takes an empty vhost for /.
        'vhost': u.virtual_host or '/',
        'query': u.query,
    }


def main():
    cfg.CONF([], project='stowage')
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, 'transport_urls.json'), 'w') as f:
        json.dump([parse(u) for u in URLS], f, indent=1)
        f.write('\n')


if __name__ == '__main__':
    main()
