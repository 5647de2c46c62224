"""Client of the HP Volume Backup API."""

import json
from urllib import parse

from tempest.lib.common import rest_client
from tempest.lib import exceptions

BACKUPS = 'hp-volume-backups'


class BackupsClient(rest_client.RestClient):
    """One method for each operation, and send() for what is none."""

    api_version = 'v1.1'

    def list_backups(self, detail=False, **params):
        path = BACKUPS + ('/detail' if detail else '')
        if params:
            path += '?' + parse.urlencode(params)
        return self._answer(200, self.get(path))

    def show_backup(self, backup_id, **params):
        path = '%s/%s' % (BACKUPS, backup_id)
        if params:
            path += '?' + parse.urlencode(params)
        return self._answer(200, self.get(path))

    def create_backup(self, **backup):
        body = json.dumps({'backup': backup})
        return self._answer(200, self.post(BACKUPS, body))

    def delete_backup(self, backup_id):
        resp, body = self.delete('%s/%s' % (BACKUPS, backup_id))
        self.expected_success(202, resp.status)
        return rest_client.ResponseBodyData(resp, body)

    def restore_backup(self, backup_id, **restore):
        body = json.dumps({'restore': restore})
        path = '%s/%s/restore' % (BACKUPS, backup_id)
        return self._answer(200, self.post(path, body))

    def _answer(self, status, response):
        resp, body = response
        self.expected_success(status, resp.status)
        return rest_client.ResponseBody(resp, json.loads(body))

    def send(self, method, path=BACKUPS, body=None, headers=None, token=None,
             url=None, chunked=False):
        """Sends a request as it is told, and gives whatever is answered.

        :param path: below the project's endpoint
        :param body: text or bytes as they are, anything else as JSON
        :param token: instead of the user's own; '' for none
        :param url: instead of the endpoint and the path
        :return: the response and its parsed body; None if that is empty
        """
        if token is None:
            token = self.token
        sent = {'Accept': 'application/json'}
        if token:
            sent['X-Auth-Token'] = token
        if body is not None:
            sent['Content-Type'] = 'application/json'
            if not chunked and not isinstance(body, (str, bytes)):
                body = json.dumps(body)
        sent.update(headers or {})
        resp, answer = self.raw_request(
            url or '%s/%s' % (self.base_url, path), method, headers=sent,
            body=body, chunked=chunked, log_req_body='<omitted>')
        return resp, json.loads(answer) if answer else None

    @property
    def resource_type(self):
        return 'volume-backup'

    def is_resource_deleted(self, backup_id):
        try:
            self.show_backup(backup_id)
        except exceptions.NotFound:
            return True
        return False
