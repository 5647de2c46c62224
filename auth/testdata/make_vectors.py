#!/usr/bin/python3
"""Write policy_vectors.json: what oslo.policy answers to many questions.

Needs Debian's python3-oslo.policy. Run it again after adding a rule:

    /usr/bin/python3 make_vectors.py > policy_vectors.json

Every rule set is asked with all credentials and all targets. An answer is T
(yes), F (no) or E where oslo.policy raises an exception; the answers for one
caller stand in one word, in the order of target_order. Targets are flattened
to dotted names first, as Keystone does before it enforces.
"""

import json
import logging
import sys

from oslo_config import cfg
from oslo_policy import policy
from oslo_policy import version

CREDS = {
    "admin": {"user_id": "u1", "project_id": "p1", "roles": ["admin", "member", "reader"],
              "is_admin_project": True, "system_scope": None, "domain_id": None},
    "admin_elsewhere": {"user_id": "u1", "project_id": "p3", "roles": ["admin", "member", "reader"],
                        "is_admin_project": False, "system_scope": None, "domain_id": None},
    "member": {"user_id": "u2", "project_id": "p1", "roles": ["member", "reader"],
               "is_admin_project": True, "system_scope": None, "domain_id": None},
    "member_capital": {"user_id": "u2", "project_id": "p2", "roles": ["Member", "READER"],
                       "is_admin_project": True, "system_scope": None, "domain_id": None},
    "reader": {"user_id": "u3", "project_id": "p1", "roles": ["reader"],
               "is_admin_project": True, "system_scope": None, "domain_id": None},
    "system": {"user_id": "u4", "project_id": None, "roles": ["reader", "os:admin"],
               "is_admin_project": True, "system_scope": "all", "domain_id": None},
    "nested": {"user_id": "u5", "project_id": "p1", "roles": [],
               "user": {"id": "u5", "domain": {"id": "d1"}},
               "groups": [{"name": "ops"}, {"name": "dev"}], "level": 3, "os-tag": "x"},
    "no_roles": {"user_id": "u6", "project_id": "p1"},
}

TARGETS = {
    "p1": {"project_id": "p1", "user_id": "u2", "public": True, "count": 3, "role": {"name": "member"}},
    "p2": {"project_id": "p2", "user_id": "u5", "public": False, "owner": {"domain": {"id": "d1"}}},
    "none": {"project_id": None, "percent": "100%"},
    "empty": {},
}

ADMIN = "role:admin and is_admin_project:True"
LINE_BREAK = "role:admin or\n  (role:member\n   and project_id:%(project_id)s)\n"

# A rule set is {name: rule}; the rule named "ask" is asked.
RULES = [
    # Constants.
    "", "@", "!", "not !", "not @", " ", "\t\n", [], None,
    # Roles.
    "role:admin", "role:Member", "role:READER", "role:os:admin", "role:nobody", "role:",
    "role:%(role.name)s", "role:%(missing)s",
    # Values of the credentials.
    "project_id:%(project_id)s", "project_id:p1", "project_id:'p1'", 'role:"member"',
    "user_id:%(user_id)s", "is_admin_project:True", "is_admin_project:true", "system_scope:all",
    "system:all", "domain_id:None", "project_id:None", "project_id:", "missing:None",
    "roles:member", "roles:Member", "user.id:u5", "user.domain.id:d1", "user.domain.id:%(owner.domain.id)s",
    "user.missing.id:x", "groups.name:dev", "groups.name:none", "level:3", "level:%(count)s",
    "os-tag:x", "user_id.id:x", "groups:ops",
    # Literals.
    "True:%(public)s", "False:%(public)s", "'member':%(role.name)s", '"member":%(role.name)s',
    "'p1':p1", "3:%(count)s", "3:3", "-3:-3", "1.5:1.5", "None:%(project_id)s", "'':", "None:None",
    # Formatting.
    "project_id:%%", "'100%':%(percent)s", "'100%':100%%", "project_id:100%", "project_id:%(project_id)",
    "project_id:x%(project_id)sx", "'p1p1':%(project_id)s%(project_id)s", "role:%s", "role:%(a)q",
    # Operators.
    "role:admin or role:member", "role:member and project_id:%(project_id)s",
    "role:admin OR role:member", "role:reader AND NOT role:member", "role:admin Or (not role:reader)",
    "role:admin or role:member and project_id:p2", "(role:admin or role:member) and project_id:p2",
    "role:member and project_id:p2 or role:admin", "role:admin or role:member and project_id:p2 and user_id:u2",
    "role:admin and role:member and role:reader", "role:admin and role:member and role:x or role:os:admin and user_id:u4",
    "(role:member and role:reader) and project_id:p2", "role:x or (role:member and role:reader) and user_id:u2",
    "not role:admin and role:member", "not (role:admin and role:member)", "not role:admin or role:member",
    "not not role:admin", "role:a or role:b or role:reader and not role:member or role:admin",
    "role:admin or (role:member and project_id:p2) and user_id:u2",
    "((role:admin))", "( role:admin )", "(role:admin", "role:admin)", "()", "(",
    LINE_BREAK, "role:admin\u00a0or\u2003role:member", "role:admin\x1for role:member",
    # What makes no sense.
    "a b", "role:admin role:member", "role:admin and", "or role:admin", "and", "not", "role:admin and and role:member",
    "admin", "@ or admin", "not admin", "not (a b)", "'admin'", '"role:admin"', "('role:admin')", "not 'admin'",
    "role:admin or 'x'", "'a':'b'", ":x", "1abc:x", "@ or 1abc:x", "not 1abc:x", "! or 1abc:x", "class:x",
    "not class:x", "010:10", "a b:c", "[]:x", "!:x", "not:x",
    # Lists.
    [["role:admin"]], [["role:member", "project_id:%(project_id)s"]], [["role:admin"], ["role:member", "project_id:p2"]],
    ["role:admin", "role:reader"], [[]], ["", []], [["@"]], [["!"], ["role:reader"]], [["admin"]], [["role:a or role:admin"]],
    [["rule:ask2"]],
    # References.
    {"ask": "rule:other", "other": "role:admin"}, {"ask": "rule:other"}, {"ask": "not rule:other"},
    {"ask": "rule:other", "default": "role:member"}, {"other": "@", "default": "role:member"}, {"other": "@"},
    {"ask": "rule:a and rule:b", "a": "role:reader", "b": "not role:member"},
    {"ask": "rule:ask"}, {"ask": "role:admin or rule:b", "b": "rule:ask"}, {"ask": "not rule:b", "b": "rule:b"},
    {"ask": "rule:os:x", "os:x": "role:reader"}, {"ask": "Rule:other", "other": "@"}, {"ask": "rule:%(x)s", "%(x)s": "@"},
    {"ask": "rule:b", "b": "and"}, {"ask": "not rule:b", "b": "or"}, {"ask": "not rule:b", "b": "a b"},
    # Our own.
    {"ask": "rule:admin_api", "admin_api": ADMIN},
    {"ask": "rule:project_reader_or_admin", "admin_api": ADMIN,
     "project_reader_or_admin": "rule:admin_api or (role:reader and project_id:%(project_id)s)"},
    {"ask": "rule:project_member_or_admin", "admin_api": ADMIN,
     "project_member_or_admin": "rule:admin_api or (role:member and project_id:%(project_id)s)"},
    "is_admin:True or (role:admin and is_admin_project:True)",
    "(role:reader and system_scope:all) or (role:reader and project_id:%(project_id)s)",
]

# A remote check is not asked: nobody would answer. We refuse it at load.
REMOTE = ["http://127.0.0.1:1/%(project_id)s", "role:admin or https://example.org/x", [["http:x"]]]


def flatten(values, prefix=""):
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(flatten(value, prefix + key + "."))
        else:
            flat[prefix + key] = value
    return flat


def answer(enforcer, target, creds):
    try:
        return "T" if enforcer.enforce("ask", flatten(target), dict(creds)) else "F"
    except Exception:
        return "E"


def main():
    logging.disable(logging.CRITICAL)
    rows = []
    for rules in RULES:
        if not isinstance(rules, dict):
            rules = {"ask": rules}
        enforcer = policy.Enforcer(cfg.ConfigOpts(), use_conf=False, default_rule="default")
        enforcer.rules = policy.Rules.from_dict(rules, "default")
        rows.append({"rules": rules, "want": {
            name: "".join(answer(enforcer, target, creds) for target in TARGETS.values())
            for name, creds in CREDS.items()}})
    head = {
        "made_with": "oslo.policy " + version.version_info.version_string(),
        "creds": CREDS, "targets": TARGETS, "target_order": list(TARGETS), "remote": REMOTE,
    }
    sys.stdout.write(json.dumps(head, sort_keys=True)[:-1] + ',\n"rows": [\n')
    sys.stdout.write(",\n".join(json.dumps(row, sort_keys=True) for row in rows))
    sys.stdout.write("\n]}\n")


main()
