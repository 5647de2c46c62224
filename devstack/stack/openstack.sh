# shellcheck shell=bash
# What the OpenStack services have in common in their configuration.

# uwsgi_ini WSGI_FILE PORT PROCESSES [ARGV]
# uwsgi's own HTTP does not keep connections alive; without the header clients
# that pool them would reuse a dead one. threads = 1: oslo.messaging under
# eventlet loses replies with more.
uwsgi_ini() {
    cat <<INI
[uwsgi]
wsgi-file = $1
http-socket = 127.0.0.1:$2
processes = $3
threads = 1
${4:+pyargv = $4}
master = true
lazy-apps = true
need-app = true
enable-threads = true
thunder-lock = true
die-on-term = true
no-orphans = true
buffer-size = 65535
http-raw-body = true
wsgi-manage-chunked-input = true
add-header = Connection: close
log-format = %(addr) "%(method) %(uri) %(proto)" %(status) %(size) bytes %(msecs) ms
INI
}

database_url() { echo "mysql+pymysql://openstack:$DB_OPENSTACK_PASSWORD@127.0.0.1:$DB_PORT/$1"; }

# credentials USER PASSWORD: with which one service calls another.
credentials() {
    cat <<INI
auth_url = $KEYSTONE_URL
auth_type = password
username = $1
password = $2
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = $REGION
INI
}

# authtoken USER PASSWORD: the section with which a service checks tokens. Only
# tokens of the role `service` count as service tokens, as in production.
authtoken() {
    cat <<INI
www_authenticate_uri = $KEYSTONE_URL
$(credentials "$1" "$2")
service_token_roles = service
service_token_roles_required = true
INI
}

# token USER PASSWORD PROJECT: one curl where the openstack command takes a second.
token() {
    jq -n --arg user "$1" --arg password "$2" --arg project "$3" '{auth: {
        identity: {methods: ["password"], password: {user:
            {name: $user, password: $password, domain: {id: "default"}}}},
        scope: {project: {name: $project, domain: {id: "default"}}}}}' |
        curl -fsS -m 30 -o /dev/null -D - -H 'Content-Type: application/json' -d @- \
            "$KEYSTONE_URL/auth/tokens" |
        tr -d '\r' | sed -n 's/^[Xx]-[Ss]ubject-[Tt]oken: //p'
}
