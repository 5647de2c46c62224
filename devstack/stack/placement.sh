# shellcheck shell=bash
# Placement, without which Nova's scheduler finds no room.
# shellcheck disable=SC2034 # read by stages.sh
placement_needs='memcached mariadb keystone' placement_daemons='placement'

placement_up() {
    local dir=$STATE/placement ini=$STATE/placement/uwsgi.ini
    own placement "$dir"
    placement_conf | conf "$dir/placement.conf" placement
    uwsgi_ini /usr/bin/placement-api "$PLACEMENT_PORT" 1 | conf "$ini" placement
    after mariadb
    once placement-db placement_sync
    after memcached
    daemon placement placement "$dir/placement.conf" "$ini" -- \
        env OS_PLACEMENT_CONFIG_DIR="$dir" uwsgi_python3 --ini "$ini"
    wait_for placement http 200 "$PLACEMENT_URL"
}

placement_sync() {
    as placement placement-manage --config-file "$STATE/placement/placement.conf" db sync \
        >>"$LOG/placement-manage.log" 2>&1 ||
        { tail -n 20 "$LOG/placement-manage.log"; return 1; }
}

placement_conf() {
    cat <<CNF
[DEFAULT]
use_stderr = true

[placement_database]
connection = $(database_url placement)

[keystone_authtoken]
$(authtoken placement "$PLACEMENT_PASSWORD")
memcached_servers = $MEMCACHED
CNF
}
