"""What comes back is what was there, byte by byte.

Images take the place of servers here: a volume is filled from one, and
uploaded to another one, whose hash Glance tells.
"""

import hashlib
import io
import random

from tempest.lib.common.utils import data_utils
from tempest.lib.common.utils import test_utils
from tempest.lib import decorators

from stowage_tempest_plugin.tests import base

CONF = base.CONF
MIB = 1 << 20
GIB = 1 << 30


class RestoreBytesTest(base.BaseBackupTest):

    @classmethod
    def skip_checks(cls):
        super().skip_checks()
        if not CONF.service_available.glance:
            raise cls.skipException('glance is not available')

    @classmethod
    def setup_clients(cls):
        super().setup_clients()
        cls.images = cls.os_primary.image_client_v2

    def create_image(self, data):
        image = self.images.create_image(
            name=data_utils.rand_name('stowage-image'),
            container_format='bare', disk_format='raw')
        self.addCleanup(test_utils.call_and_ignore_notfound_exc,
                        self.images.delete_image, image['id'])
        self.images.store_image_file(image['id'], io.BytesIO(data))
        return image['id']

    def fill(self, seed, mib):
        """Data of one MiB repeated with a number, so that no two are alike."""
        block = random.Random(seed).randbytes(MIB - 8)
        return b''.join(
            number.to_bytes(8, 'big') + block for number in range(mib))

    def hash_of(self, volume_id):
        """Uploads the volume to an image, whose hash it gives."""
        upload = self.tenant.volumes.upload_volume(
            volume_id, image_name=data_utils.rand_name('stowage-upload'),
            disk_format='raw', container_format='bare')
        image_id = upload['os-volume_upload_image']['image_id']
        self.addCleanup(test_utils.call_and_ignore_notfound_exc,
                        self.images.delete_image, image_id)
        base.wait_until(lambda: self.images.show_image(image_id)['status'],
                        lambda status: status in ('active', 'killed'),
                        'image %s' % image_id)
        self.tenant.wait_for_volume(volume_id)
        image = self.images.show_image(image_id)
        self.assertEqual('sha512', image['os_hash_algo'])
        return image['os_hash_value']

    def hash_of_volume_with(self, data, size):
        digest = hashlib.sha512(data)
        zeros = bytes(MIB)
        for _ in range((size * GIB - len(data)) // MIB):
            digest.update(zeros)
        return digest.hexdigest()

    def restore(self, backup, **kwargs):
        restored = self.backups.restore_backup(
            backup['id'], **kwargs)['restore']['volume_id']
        if not kwargs:
            self.tenant.own_volume(restored)
        self.tenant.wait_for_volume(restored)
        self.tenant.wait_for_backup(backup['id'])
        return restored

    @decorators.idempotent_id('aa67a5cf-77c2-4ec3-9514-f6092c4cc686')
    @decorators.attr(type='slow')
    def test_restored_bytes(self):
        size = CONF.volume_backup.volume_size
        long, short = self.fill('long', 40), self.fill('short', 24)
        volume = self.tenant.create_volume(
            size=size, imageRef=self.create_image(long),
            metadata={'purpose': 'bytes'})
        other = self.tenant.create_volume(
            size=size, imageRef=self.create_image(short))

        # Two points in time of one volume: the second one is what the other
        # volume has, and may be stored as changes of the first one.
        first = self.tenant.create_backup(volume['id'])
        between = self.tenant.create_backup(other['id'])
        self.restore(between, volume_id=volume['id'])
        second = self.tenant.create_backup(volume['id'])

        # The first one comes back in a new volume, with what Cinder knew.
        target = self.restore(first)
        shown = self.tenant.show_volume(target)
        self.assertEqual('bytes', shown['metadata']['purpose'])
        self.assertEqual(volume['bootable'], shown['bootable'])
        # Nobody has verified a signature of the new volume.
        known = dict(volume['volume_image_metadata'])
        known.pop('signature_verified', None)
        self.assertEqual(known, shown['volume_image_metadata'])
        self.assertEqual(self.hash_of_volume_with(long, size),
                         self.hash_of(target))

        # The second one needs none of the others, and nothing is left of
        # what was behind its end.
        for backup in first, between:
            self.backups.delete_backup(backup['id'])
            self.tenant.wait_until_backup_is_gone(backup['id'])
        self.restore(second, volume_id=target)
        self.assertEqual(self.hash_of_volume_with(short, size),
                         self.hash_of(target))
