#!/usr/bin/python3
"""Creates the roles, projects, users, services and endpoints of the stack.

    keystone_content.py STATE/env STAGE...

Services and endpoints are those of the stages. Whatever is there already
stays; a password or an address that differs is set
anew. Prints KEY=ID lines for the env file. The standard library is enough for
it, and ten requests take less time than one start of the openstack command.
"""

import json
import shlex
import sys
import urllib.error
import urllib.request

ROLES = ("admin", "member", "reader", "manager", "service", "ResellerAdmin")
PROJECTS = ("service", "admin", "demo", "alt")

# user, project, roles; the password is <USER>_PASSWORD of the env file
USERS = (
    ("admin", "admin", ("admin",)),
    ("demo", "demo", ("member",)),
    ("alt", "alt", ("member",)),
    ("demo_reader", "demo", ("reader",)),
    ("stowage", "service", ("admin", "service")),
    ("stowage_reseller", "service", ("admin", "service", "ResellerAdmin")),
    ("swift", "service", ("service",)),
    ("glance", "service", ("service",)),
    ("cinder", "service", ("admin", "service")),
    ("placement", "service", ("service",)),
    ("neutron", "service", ("service",)),
    ("nova", "service", ("admin", "service")),
)

# user, role: on all projects of the domain Default, those to come included. With
# it Stowage builds servers again in their own project.
INHERITED = (("stowage", "member"), ("stowage_reseller", "member"))

# type, name, path below the address that the env file has under the key, which
# is <STAGE>_URL
SERVICES = (
    ("identity", "keystone", "KEYSTONE_URL", ""),
    ("object-store", "swift", "SWIFT_URL", "/v1/AUTH_$(project_id)s"),
    ("image", "glance", "GLANCE_URL", ""),
    ("volumev3", "cinderv3", "CINDER_URL", "/$(project_id)s"),
    ("block-storage", "cinder", "CINDER_URL", "/$(project_id)s"),
    ("placement", "placement", "PLACEMENT_URL", ""),
    ("network", "neutron", "NEUTRON_URL", ""),
    ("compute", "nova", "NOVA_URL", ""),
    ("volume-backup", "stowage", "STOWAGE_URL", "/v1.1/$(project_id)s"),
)


def read_env(path):
    """KEY=VALUE lines, the values quoted for a shell."""
    with open(path) as lines:
        pairs = (line.rstrip("\n").split("=", 1) for line in lines)
        return {key: "".join(shlex.split(value)) for key, value in pairs}


class Keystone:
    """Just enough of a client: a token, and JSON in and out."""

    def __init__(self, url):
        self.url = url
        self.token = None
        # Proxies of the environment are not for loopback.
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}))

    def call(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("X-Auth-Token", self.token)
        try:
            with self.opener.open(request, timeout=60) as response:
                text = response.read()
                return response, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            raise SystemExit("keystone: %s %s: %s %s" % (
                method, path, error.code, error.read().decode()))

    def log_in(self, user, password, project):
        scope = {"project": {"name": project, "domain": {"id": "default"}}}
        user = {"name": user, "password": password,
                "domain": {"id": "default"}}
        response, _ = self.call("POST", "/auth/tokens", {"auth": {
            "identity": {"methods": ["password"],
                         "password": {"user": user}}, "scope": scope}})
        self.token = response.headers["X-Subject-Token"]

    def accepts(self, user, password):
        """Is that the user's password?"""
        user = {"name": user, "password": password,
                "domain": {"id": "default"}}
        body = {"auth": {"identity": {
            "methods": ["password"], "password": {"user": user}}}}
        request = urllib.request.Request(
            self.url + "/auth/tokens", json.dumps(body).encode(),
            {"Content-Type": "application/json"})
        try:
            self.opener.open(request, timeout=60).close()
            return True
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return False
            raise

    def ids(self, kind, key="name"):
        _, found = self.call("GET", "/" + kind)
        return {item[key]: item["id"] for item in found[kind]}

    def create(self, kind, **fields):
        one = kind[:-1]
        _, made = self.call("POST", "/" + kind, {one: fields})
        return made[one]["id"]


def ensure(keystone, kind, names):
    ids = keystone.ids(kind)
    for name in names:
        if name not in ids:
            ids[name] = keystone.create(kind, name=name)
    return ids


def ensure_users(keystone, env, projects, roles):
    users = keystone.ids("users")
    _, found = keystone.call("GET", "/role_assignments")
    granted = {(a["user"]["id"], a["scope"]["project"]["id"], a["role"]["id"])
               for a in found["role_assignments"]
               if "user" in a and "project" in a["scope"]}
    for name, project, wanted in USERS:
        password = env[name.upper() + "_PASSWORD"]
        if name not in users:
            users[name] = keystone.create(
                "users", name=name, password=password,
                default_project_id=projects[project])
        elif not keystone.accepts(name, password):
            keystone.call("PATCH", "/users/" + users[name],
                          {"user": {"password": password}})
        for role in wanted:
            grant = (users[name], projects[project], roles[role])
            if grant not in granted:
                keystone.call("PUT", "/projects/%s/users/%s/roles/%s" % (
                    grant[1], grant[0], grant[2]))
    for name, role in INHERITED:  # granting twice is no error
        keystone.call("PUT", "/OS-INHERIT/domains/default/users/%s/roles/%s"
                      "/inherited_to_projects" % (users[name], roles[role]))
    return users


def ensure_endpoints(keystone, env, stages):
    services = keystone.ids("services", "type")
    _, found = keystone.call("GET", "/endpoints")
    there = {(e["service_id"], e["interface"], e["region_id"]): e
             for e in found["endpoints"]}
    for kind, name, key, path in SERVICES:
        if key[:-len("_URL")].lower() not in stages:
            continue
        if kind not in services:
            services[kind] = keystone.create("services", type=kind, name=name)
        url = env[key] + path
        for interface in ("public", "internal", "admin"):
            have = there.get((services[kind], interface, env["REGION"]))
            if have is None:
                keystone.create("endpoints", service_id=services[kind],
                                interface=interface, url=url,
                                region_id=env["REGION"])
            elif have["url"] != url:
                keystone.call("PATCH", "/endpoints/" + have["id"],
                              {"endpoint": {"url": url}})


def main():
    env = read_env(sys.argv[1])
    keystone = Keystone(env["KEYSTONE_URL"])
    keystone.log_in("admin", env["ADMIN_PASSWORD"], "admin")
    roles = ensure(keystone, "roles", ROLES)
    projects = ensure(keystone, "projects", PROJECTS)
    users = ensure_users(keystone, env, projects, roles)
    ensure_endpoints(keystone, env, sys.argv[2:])
    for name in PROJECTS:
        print("%s_PROJECT_ID=%s" % (name.upper(), projects[name]))
    for name, _, _ in USERS:
        print("%s_USER_ID=%s" % (name.upper(), users[name]))


if __name__ == "__main__":
    main()
