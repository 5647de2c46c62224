# shellcheck shell=bash
# Cinder with volumes in Ceph. With STOWAGE_STACK_PEERS=1 also cinder-backup
# with its Swift driver: the peer to compare with.
# shellcheck disable=SC2034 # read by stages.sh
cinder_needs='memcached mariadb rabbitmq ceph keystone glance'
cinder_daemons='cinder-api cinder-scheduler cinder-volume cinder-backup'

cinder_up() {
    local dir=$STATE/cinder ini=$STATE/cinder/uwsgi.ini
    own cinder "$dir" "$dir/tmp"
    cinder_conf | conf "$dir/cinder.conf" cinder
    uwsgi_ini /usr/bin/cinder-wsgi "$CINDER_PORT" 2 "--config-file $dir/cinder.conf" |
        conf "$ini" cinder
    after mariadb
    once cinder-db cinder_sync
    after memcached rabbitmq
    daemon cinder-api cinder "$dir/cinder.conf" "$ini" -- uwsgi_python3 --ini "$ini"
    cinder_daemon cinder-scheduler
    after ceph
    cinder_daemon cinder-volume
    if [[ ${STOWAGE_STACK_PEERS:-} == 1 ]]; then
        cinder_backup
    fi
    wait_for cinder-api http 300 "http://127.0.0.1:$CINDER_PORT"
    after keystone
    cinder_type
    wait_for cinder-scheduler running cinder-volume
    wait_for cinder-volume cinder_schedules
    after glance
}

cinder_daemon() {
    daemon "$1" cinder "$STATE/cinder/cinder.conf" -- \
        env TMPDIR="$STATE/cinder/tmp" "$1" --config-file "$STATE/cinder/cinder.conf"
}

# os-brick, through which cinder-backup opens images, looks for the keyring in
# /etc/ceph and nowhere else: for this daemon alone, that is the stack's own.
cinder_backup() {
    # shellcheck disable=SC2016 # the inner shell's
    daemon cinder-backup root "$STATE/cinder/cinder.conf" -- \
        unshare --mount sh -c 'mount --bind "$0" /etc/ceph && exec "$@"' "$STATE/ceph" \
        setpriv --reuid cinder --regid cinder --init-groups \
        env TMPDIR="$STATE/cinder/tmp" cinder-backup --config-file "$STATE/cinder/cinder.conf"
}

cinder_sync() {
    as cinder cinder-manage --config-file "$STATE/cinder/cinder.conf" db sync \
        >>"$LOG/cinder-manage.log" 2>&1 ||
        { tail -n 20 "$LOG/cinder-manage.log"; return 1; }
}

# The host is a fixed word, so that volumes outlive a new name of the machine.
cinder_conf() {
    cat <<CNF
[DEFAULT]
host = stack
my_ip = 127.0.0.1
use_stderr = true
state_path = $STATE/cinder
api_paste_config = /etc/cinder/api-paste.ini
resource_query_filters_file = /etc/cinder/resource_filters.json
rootwrap_config = /etc/cinder/rootwrap.conf
auth_strategy = keystone
transport_url = $TRANSPORT_URL
glance_api_servers = $GLANCE_URL
enabled_backends = ceph
default_volume_type = ceph
# A service that is slow, as in a guest or while others build, is not down: a
# volume asked for just then would be in error at once.
service_down_time = 600
quota_volumes = 500
quota_snapshots = 500
quota_backups = 500
quota_gigabytes = 10000
quota_backup_gigabytes = 10000
backup_driver = cinder.backup.drivers.swift.SwiftBackupDriver
backup_swift_auth_url = $KEYSTONE_URL
backup_compression_algorithm = ${STOWAGE_STACK_CINDER_COMPRESSION:-zlib}

[ceph]
volume_driver = cinder.volume.drivers.rbd.RBDDriver
volume_backend_name = ceph
rbd_pool = $CEPH_POOL
rbd_user = $CEPH_USER
rbd_ceph_conf = $CEPH_CONF
report_discard_supported = true

[database]
connection = $(database_url cinder)

[nova]
$(credentials cinder "$CINDER_PASSWORD")

[oslo_concurrency]
lock_path = $STATE/cinder/lock

[keystone_authtoken]
$(authtoken cinder "$CINDER_PASSWORD")
memcached_servers = $MEMCACHED
CNF
}

# cinder_call METHOD PATH [BODY]: as the admin.
cinder_call() {
    local project
    CINDER_TOKEN=${CINDER_TOKEN:-$(token admin "$ADMIN_PASSWORD" admin)}
    project=$(sed -n 's/^ADMIN_PROJECT_ID=//p' "$STATE/keystone/ids")
    curl -fsS -m 60 -X "$1" -H "X-Auth-Token: $CINDER_TOKEN" \
        -H 'Content-Type: application/json' ${3:+-d "$3"} "$CINDER_URL/$project$2"
}

cinder_type() {
    CINDER_TOKEN=$(token admin "$ADMIN_PASSWORD" admin)
    cinder_call GET /types | jq -e '.volume_types[] | select(.name == "ceph")' >/dev/null ||
        cinder_call POST /types '{"volume_type": {"name": "ceph",
            "extra_specs": {"volume_backend_name": "ceph"}}}' >/dev/null
}

# The scheduler has heard of the pool and its free space: it can place volumes.
cinder_schedules() {
    cinder_call GET '/scheduler-stats/get_pools?detail=True' | jq -e '.pools[] |
        .capabilities | select(.volume_backend_name == "ceph") | .free_capacity_gb > 0'
}
