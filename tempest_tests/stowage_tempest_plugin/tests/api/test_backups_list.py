"""List, list with details, and pages of both."""

from urllib import parse

from tempest.lib import decorators

from stowage_tempest_plugin.tests import base


class BackupsListTest(base.BaseBackupTest):

    @classmethod
    def resource_setup(cls):
        super().resource_setup()
        cls.volume = cls.tenant.create_volume()
        cls.made = [
            cls.tenant.create_backup(cls.volume['id'], display_name=name)
            for name in ('first', 'second', 'third')]
        cls.ids = [backup['id'] for backup in cls.made]

    def list_ids(self, **params):
        listed = self.backups.list_backups(**params)['backups']
        return [backup['id'] for backup in listed]

    @decorators.idempotent_id('0bc27c29-a475-46f6-b031-09655a741cb8')
    @decorators.attr(type='smoke')
    def test_list_shows_id_and_status_only(self):
        self.assertEqual(
            [{'id': id, 'status': 'available'} for id in self.ids],
            self.backups.list_backups()['backups'])

    @decorators.idempotent_id('e5733aa3-0c20-4045-b17c-24027e7d7466')
    def test_list_details(self):
        listed = self.backups.list_backups(detail=True)['backups']
        for backup in listed:
            self.assertDetails(backup)
        self.assertEqual(self.made, listed)

    @decorators.idempotent_id('93e461ab-2471-4818-a1ea-677f7f3e691a')
    def test_limit_and_marker(self):
        for detail in False, True:
            self.assertEqual(
                self.ids[:2], self.list_ids(detail=detail, limit=2))
            self.assertEqual(
                self.ids[2:],
                self.list_ids(detail=detail, limit=2, marker=self.ids[1]))
            self.assertEqual(
                self.ids[1:], self.list_ids(detail=detail,
                                            marker=self.ids[0]))
            self.assertEqual(
                [], self.list_ids(detail=detail, marker=self.ids[2]))
            self.assertEqual([], self.list_ids(detail=detail, limit=0))

    @decorators.idempotent_id('2a78e442-c0cd-4972-9fc6-54433fdb9fbc')
    def test_links_lead_through_all_pages(self):
        for detail in False, True:
            page = self.backups.list_backups(detail=detail, limit=1)
            pages = [page['backups']]
            while page.get('backups_links'):
                self.assertLessEqual(len(pages), len(self.ids))
                link, = page['backups_links']
                self.assertEqual('next', link['rel'])
                query = dict(parse.parse_qsl(
                    parse.urlsplit(link['href']).query))
                self.assertEqual('1', query['limit'])
                resp, page = self.backups.send('GET', url=link['href'])
                self.assertEqual(200, resp.status)
                pages.append(page['backups'])
            self.assertEqual(
                self.ids, [b['id'] for page in pages for b in page])

    @decorators.idempotent_id('a4ced18f-f319-4cdc-96b6-69db92b7e8fc')
    def test_bad_limit_and_marker(self):
        for query in ('limit=-1', 'limit=two', 'limit=', 'marker=last',
                      'marker=-1'):
            for path in 'hp-volume-backups', 'hp-volume-backups/detail':
                self.assertFault(
                    self.backups.send('GET', '%s?%s' % (path, query)),
                    400, 'badRequest')

    @decorators.idempotent_id('dfd13931-f44f-4e15-bae5-82dd2ac0c689')
    def test_filters(self):
        volume = self.volume['id']
        self.assertEqual(self.ids, self.list_ids(volume_id=volume))
        self.assertEqual([], self.list_ids(volume_id='no-such-volume'))
        self.assertEqual(self.ids, self.list_ids(status='available'))
        self.assertEqual([], self.list_ids(status='error'))
        self.assertEqual(self.ids[1:2], self.list_ids(display_name='second'))
