"""What the service tells without a token."""

from urllib import parse

from tempest.lib import decorators

from stowage_tempest_plugin.tests import base


class DiscoveryTest(base.BaseBackupTest):

    @decorators.idempotent_id('2fd1a343-f9ee-4fee-b324-2167636af2ab')
    def test_versions(self):
        endpoint = parse.urlsplit(self.backups.base_url)
        root = endpoint.path.partition('/v1.1')[0]
        url = '%s://%s%s/' % (endpoint.scheme, endpoint.netloc, root)
        resp, body = self.backups.send('GET', url=url, token='')
        self.assertIn(resp.status, (200, 300))
        versions = {version['id']: version for version in body['versions']}
        self.assertEqual('CURRENT', versions['v1.1']['status'])

        link = [link['href'] for link in versions['v1.1']['links']
                if link['rel'] == 'self'][0]
        resp, body = self.backups.send('GET', url=link, token='')
        self.assertEqual(200, resp.status)
        self.assertEqual('v1.1', body['version']['id'])

    @decorators.idempotent_id('6c80c363-0828-44b3-84be-64d3c448f886')
    def test_request_ids(self):
        pattern = (r'^req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-'
                   r'[0-9a-f]{12}$')
        ids = []
        for _ in range(2):
            resp, _ = self.backups.send('GET')
            self.assertRegex(resp['x-openstack-request-id'], pattern)
            self.assertEqual(resp['x-openstack-request-id'],
                             resp['x-compute-request-id'])
            ids.append(resp['x-openstack-request-id'])
        self.assertNotEqual(*ids)
