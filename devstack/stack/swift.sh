# shellcheck shell=bash
# Swift with one device and one replica, and two storage policies: gold (the
# default) and silver.
# shellcheck disable=SC2034 # read by stages.sh
swift_needs='memcached keystone'
swift_daemons='swift-account swift-container swift-object swift-container-updater
    swift-object-updater swift-proxy'

swift_up() {
    local dir=$STATE/swift kind
    own swift "$dir" "$dir/devices" "$dir/devices/d1" "$dir/cache"
    swift_conf | conf "$dir/swift.conf" swift
    once "swift-rings-$SWIFT_OBJECT_PORT-$SWIFT_CONTAINER_PORT-$SWIFT_ACCOUNT_PORT" \
        as swift "$HERE/swift_rings.py" "$dir" \
        "$SWIFT_OBJECT_PORT" "$SWIFT_CONTAINER_PORT" "$SWIFT_ACCOUNT_PORT"
    swift_server account "$SWIFT_ACCOUNT_PORT" 1
    swift_server container "$SWIFT_CONTAINER_PORT" 1
    swift_server object "$SWIFT_OBJECT_PORT" 2
    swift_daemon container-updater container
    swift_daemon object-updater object
    swift_proxy_conf | conf "$dir/proxy.conf" swift
    swift_daemon proxy proxy swift-proxy-server
    wait_for swift-account http 200 "http://127.0.0.1:$SWIFT_ACCOUNT_PORT/healthcheck"
    wait_for swift-container http 200 "http://127.0.0.1:$SWIFT_CONTAINER_PORT/healthcheck"
    wait_for swift-object http 200 "http://127.0.0.1:$SWIFT_OBJECT_PORT/healthcheck"
    wait_for swift-proxy http 200 "$SWIFT_URL/healthcheck"
    after keystone
    wait_for swift-proxy swift_serves
}

# swift_daemon NAME CONF [PROGRAM]; -v logs to stderr, Swift has no log files.
swift_daemon() {
    local file=$STATE/swift/$2.conf program=/usr/bin/${3:-swift-$1}
    daemon "swift-$1" swift "$file" "$STATE/swift/swift.conf" -- \
        python3 "$HERE/swift_run.py" "$STATE/swift" "$program" "$file" -v
}

swift_server() { # KIND PORT WORKERS
    swift_server_conf "$1" "$2" "$3" | conf "$STATE/swift/$1.conf" swift
    swift_daemon "$1" "$1" "swift-$1-server"
}

swift_conf() {
    cat <<CNF
[swift-hash]
swift_hash_path_prefix = $SWIFT_HASH_PREFIX
swift_hash_path_suffix = $SWIFT_HASH_SUFFIX

[storage-policy:0]
name = gold
default = yes

[storage-policy:1]
name = silver
CNF
}

swift_common_conf() { # PORT WORKERS
    cat <<CNF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $1
workers = $2
user = swift
swift_dir = $STATE/swift
devices = $STATE/swift/devices
mount_check = false
log_level = INFO
CNF
}

# By itself Swift waits for a container's server for one second, and leaves the
# listing to an updater if that one is busy.
#
# The updaters only repeat what the servers could not do at once and sum up
# containers for the account; every ten seconds would keep a core busy.
swift_server_conf() { # KIND PORT WORKERS
    swift_common_conf "$2" "$3"
    cat <<CNF
conn_timeout = 20
node_timeout = 60
container_update_timeout = 60

[pipeline:main]
pipeline = healthcheck $1-server

[app:$1-server]
use = egg:swift#$1
replication_server = true

[filter:healthcheck]
use = egg:swift#healthcheck

[$1-updater]
interval = 60
concurrency = 1
recon_cache_path = $STATE/swift/cache
CNF
}

# The token cache is Swift's own. With the shared one, authtoken would store
# tokens without their catalog, and Cinder, reading those, finds no Swift.
swift_proxy_conf() {
    swift_common_conf "$SWIFT_PORT" 2
    cat <<CNF

[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck proxy-logging cache listing_formats bulk tempurl authtoken keystoneauth copy container-quotas account-quotas slo dlo versioned_writes symlink proxy-logging proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 20
node_timeout = 60
error_suppression_limit = 1000
allow_account_management = true

[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
$(authtoken swift "$SWIFT_PASSWORD")
delay_auth_decision = true
cache = swift.cache
include_service_catalog = false

[filter:keystoneauth]
use = egg:swift#keystoneauth
reseller_prefix = AUTH, SERVICE
operator_roles = admin, member
reseller_admin_role = ResellerAdmin
SERVICE_service_roles = service

[filter:cache]
use = egg:swift#memcache
memcache_servers = $MEMCACHED

[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
CNF
    swift_filters
}

swift_filters() {
    local filter
    for filter in catch_errors gatekeeper healthcheck listing_formats bulk tempurl copy slo dlo symlink; do
        printf '\n[filter:%s]\nuse = egg:swift#%s\n' "$filter" "$filter"
    done
    for filter in proxy-logging container-quotas account-quotas; do
        printf '\n[filter:%s]\nuse = egg:swift#%s\n' "$filter" "${filter//-/_}"
    done
}

swift_serves() {
    curl -fsS -m 20 -o /dev/null -H "X-Auth-Token: $(token demo "$DEMO_PASSWORD" demo)" \
        "$SWIFT_URL/v1/AUTH_$(sed -n 's/^DEMO_PROJECT_ID=//p' "$STATE/keystone/ids")"
}
