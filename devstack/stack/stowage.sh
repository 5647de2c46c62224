# shellcheck shell=bash
# Stowage itself, last, and only if STOWAGE_BIN names a program.
# shellcheck disable=SC2034 # read by stages.sh
stowage_needs='mariadb rabbitmq memcached ceph keystone swift cinder'
stowage_daemons='stowage-api stowage-manager'

# The user of cinder-volume: both open the pool with the same key.
STOWAGE_USER=cinder

stowage_up() {
    local dir=$STATE/stowage bin=$STATE/stowage/bin/stowage
    if [[ ! -x ${STOWAGE_BIN:-} ]]; then
        echo "skipped: STOWAGE_BIN names no program"
        return
    fi
    own "$STOWAGE_USER" "$dir" "$dir/state" "$dir/bin"
    stowage_conf | conf "$dir/stowage.conf" "$STOWAGE_USER"
    # A copy: the checkout may be closed to the user, and the next build writes
    # over the original.
    if ! cmp -s "$STOWAGE_BIN" "$bin"; then
        install -m 755 "$STOWAGE_BIN" "$bin.new"
        mv "$bin.new" "$bin"
    fi
    [[ -e $dir/master.key ]] || as "$STOWAGE_USER" "$bin" keys create "$dir/master.key" >>"$LOG/stowage-keys.log" 2>&1 ||
        { tail -n 20 "$LOG/stowage-keys.log"; return 1; }
    # shellcheck disable=SC2086 # a list of words
    after $stowage_needs
    stowage_db_sync
    stowage_daemon stowage-api api
    stowage_daemon stowage-manager manager
    wait_for stowage-api http 200 "$STOWAGE_URL/healthcheck"
    wait_for stowage-manager true
}

stowage_daemon() { # NAME COMMAND
    local dir=$STATE/stowage
    daemon "$1" "$STOWAGE_USER" "$dir/stowage.conf" "$dir/bin/stowage" -- \
        "$dir/bin/stowage" "$2" --config-file "$dir/stowage.conf"
}

stowage_db_sync() {
    as "$STOWAGE_USER" "$STATE/stowage/bin/stowage" db sync \
        --config-file "$STATE/stowage/stowage.conf" >>"$LOG/stowage-db.log" 2>&1 ||
        { tail -n 20 "$LOG/stowage-db.log"; return 1; }
}

stowage_conf() {
    cat <<CNF
[DEFAULT]
transport_url = $TRANSPORT_URL
host = stack
state_path = $STATE/stowage/state
enabled_backends = ceph
bind_host = 127.0.0.1
bind_port = $STOWAGE_PORT

[database]
connection = $DB_URL

[keystone_authtoken]
$(authtoken stowage "$STOWAGE_PASSWORD")
service_type = volume-backup
memcached_servers = $MEMCACHED

[cinder]
region_name = $REGION
interface = public

[nova]
region_name = $REGION
interface = public

[swift]
region_name = $REGION
interface = public
access_mode = acl

[encryption]
master_key_file = $STATE/stowage/master.key

[mounts]
shared_secret = $MOUNTS_SECRET
bind_port = $MOUNTS_PORT

[ceph]
volume_driver = rbd
rbd_pool = $CEPH_POOL
rbd_user = $CEPH_USER
rbd_ceph_conf = $CEPH_CONF
CNF
}
