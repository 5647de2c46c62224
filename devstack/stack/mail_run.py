#!/usr/bin/python3
"""A mail server that puts what it takes into a Maildir.

    mail_run.py DIR PORT TLS_PORT USER PASSWORD

PORT wants STARTTLS and then a login, TLS_PORT begins with TLS. DIR has the key and
the certificate. Recipients whose name begins with "nobody" are refused.
"""

import hmac
import signal
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult

directory, port, tls_port, user, password = sys.argv[1:]


class Handler(Mailbox):
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"


def login(server, session, envelope, mechanism, data):
    good = (hmac.compare_digest(data.login, user.encode())
            and hmac.compare_digest(data.password, password.encode()))
    return AuthResult(success=good, handled=False)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(directory + "/cert.pem", directory + "/key.pem")
common = {"hostname": "127.0.0.1", "authenticator": login, "auth_required": True}
handler = Handler(directory + "/maildir")
controllers = [
    Controller(handler, port=int(port), tls_context=context, require_starttls=True, **common),
    Controller(handler, port=int(tls_port), ssl_context=context, auth_require_tls=False, **common),
]
for c in controllers:
    c.start()
signal.sigwait([signal.SIGTERM, signal.SIGINT])
for c in controllers:
    c.stop()
