#!/usr/bin/python3
"""Makes the golden backups, with the code of Cinder itself (python3-cinder).

    ./make.py DIRECTORY

A volume of 96 KiB and 700 bytes is backed up in full, and after two changes as
increments, with each compression: objects of 32 KiB, blocks of 4 KiB. What is
random or of the day is fixed, so the same files come out every time.
"""
import datetime
import io
import os
import random
import sys
import types
from unittest import mock

import eventlet.tpool  # noqa: F401
from oslo_config import cfg

from cinder import context  # noqa: F401
from cinder import objects
from cinder.backup import chunkeddriver

CONF = cfg.CONF
CONF([], project='cinder')
objects.register_all()

VOLUME = '6b1b1a52-2ef1-4f5b-9d7b-1d2c3b4a5f60'
META = ('{"version": 2, "volume-base-metadata": {"id": "%s", "size": 1, "display_name": "data \\u540d",'
        ' "display_description": null, "volume_type_id": "fe6d2bc0-0000-4000-8000-000000000001",'
        ' "availability_zone": "nova", "bootable": true, "user_id": "0123456789abcdef0123456789abcdef",'
        ' "encryption_key_id": null, "provider_auth": "CHAP stowage secret", "host": "stack@ceph#ceph"},'
        ' "volume-metadata": {"k": "v"}, "volume-glance-metadata": {"image_name": "tiny", "min_disk": "0"}}' % VOLUME)


class Writer(io.BytesIO):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def __exit__(self, *args):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self.path, 'wb') as f:
            f.write(self.getvalue())
        return super().__exit__(*args)


class Driver(chunkeddriver.ChunkedBackupDriver):
    def __init__(self, root):
        self.root = root
        super().__init__(None, 32768, 4096, 'c', False)

    def path(self, name):
        return os.path.join(self.root, name)

    def get_object_writer(self, container, name, extra_metadata=None):
        return Writer(self.path(name))

    def get_object_reader(self, container, name, extra_metadata=None):
        return open(self.path(name), 'rb')

    def _get_object_writer(self, *args, **kw):
        return self.get_object_writer(*args, **kw)

    _get_object_reader = get_object_reader

    def get_metadata(self, volume_id):
        return META

    def _generate_object_name_prefix(self, backup):
        # As in drivers/swift.py.
        return ('volume_' + backup['volume_id'] + '/' + backup.stamp + '/az_nova_backup_' + backup['id'])

    def put_container(self, container):
        pass

    def update_container_name(self, backup, container):
        return container

    def get_extra_metadata(self, backup, volume):
        return None

    get_container_entries = delete_object = None


class Backup(types.SimpleNamespace):
    def __getitem__(self, key):
        return getattr(self, key)

    def save(self):
        pass

    refresh = save

    def as_read_deleted(self):
        return mock.MagicMock()


def main(root):
    rng = random.Random(7)
    noise = lambda n: bytes(rng.randrange(256) for _ in range(n))  # noqa: E731
    full = bytearray(b'cinder ' * 16000)[:96 * 1024 + 700]
    full[32768:65536] = noise(32768)  # cannot be compressed
    states = [bytes(full)]
    full[4096:9000] = b'first ' * 817 + b'xx'  # two blocks of the first object
    full[20000:20001] = b'!'
    full[-3:] = b'end'
    states.append(bytes(full))
    full[6000:7000] = bytes(1000)
    full[40000:70000] = bytes(30000)
    states.append(bytes(full))
    for number, algorithm in enumerate(['none', 'zlib', 'gzip', 'bz2', 'bzip2', 'zstd']):
        CONF.set_override('backup_compression_algorithm', algorithm)
        made = {}
        for i, data in enumerate(states):
            backup = Backup(
                id='%08d-0000-4000-8000-00000000000%d' % (number + 1, i), volume_id=VOLUME, container='c', status='creating',
                size=1, object_count=0, service_metadata=None, display_name='backup %d' % i, display_description=None,
                created_at=datetime.datetime(2026, 1, 1 + i, 12, 0, 0, tzinfo=datetime.timezone.utc),
                parent_id=made[i - 1].id if i else None, stamp='2026010%d120001' % (1 + i))
            made[i] = backup
            driver = Driver(root)
            driver.db = types.SimpleNamespace(volume_get=lambda c, i: {'size': 1})
            byid = lambda c, i: next(b for b in made.values() if b.id == i)  # noqa: E731
            with mock.patch('cinder.objects.Backup.get_by_id', byid), \
                    mock.patch('cinder.volume.volume_utils.notify_about_backup_usage'), \
                    mock.patch('eventlet.tpool.execute', lambda f, *a, **k: f(*a, **k)), \
                    mock.patch('eventlet.tpool.Proxy', lambda x: x):
                driver.backup(backup, io.BytesIO(data))
    for i, data in enumerate(states):
        with open(os.path.join(root, 'volume-%d' % i), 'wb') as f:
            f.write(data)


main(sys.argv[1])
