#!/usr/bin/python3
"""Writes database_urls.json: what SQLAlchemy makes of database URLs.

Needs Debian's python3-sqlalchemy; run it here, commit what it writes.
"""
import json
import os

from sqlalchemy.engine import make_url

URLS = [
    'mysql+pymysql://stowage:secret@127.0.0.1:3306/stowage',
    'mysql+pymysql://root:secret@127.0.0.1/stowage?charset=utf8',
    'mysql+pymysql://root:secret@127.0.0.1/stowage?charset=utf8&plugin=x',
    'mysql+pymysql://s:p%40ss%3Aw%2Ford@db.example.org/stowage',
    'mysql+pymysql://s:100%25@db/stowage',
    'mysql+pymysql://s:50%zz@db/stowage',
    'mysql+pymysql://s:a+b@db/stowage',
    'mysql+pymysql://s:a/b?c@db/stowage',
    'mysql+pymysql://s:a:b@db/stowage',
    'mysql+pymysql://s%40x:p@db/stowage',
    'mysql+pymysql://s@db/stowage',
    'mysql+pymysql://db/stowage',
    'mysql+pymysql://s:p@[fd00::1]:3307/stowage',
    'mysql+pymysql://s:p@[fd00::1]/stowage',
    'mysql+pymysql://s:p@db/stowage?ssl_ca=/ca.pem&ssl_cert=/c&ssl_key=/k',
    'mysql+pymysql://s:p@db/stowage?read_timeout=30',
    'mysql://s:p@db/stowage',
    'mariadb+mariadbconnector://s:p@db/stowage',
    'sqlite:////var/lib/stowage/stowage.sqlite',
    'sqlite:///stowage.sqlite',
    'sqlite://',
    'sqlite:///:memory:',
    'sqlite+pysqlite:////x.db',
]


def main():
    result = []
    for url in URLS:
        u = make_url(url)
        result.append({
            'url': url,
            'host': u.host or '',
            'port': u.port or 0,
            'user': u.username or '',
            'password': u.password or '',
            'name': u.database or '',
            'query': dict(u.query),
        })
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, 'database_urls.json'), 'w') as f:
        json.dump(result, f, indent=1)
        f.write('\n')


if __name__ == '__main__':
    main()
