# shellcheck shell=bash
# Glance with a file store: the volume commands of the openstack client ask for
# images before they do anything, and tests boot volumes from one.
# shellcheck disable=SC2034 # read by stages.sh
glance_needs='memcached mariadb keystone' glance_daemons='glance'

glance_up() {
    local dir=$STATE/glance
    own glance "$dir" "$dir/images" "$dir/staging" "$dir/tasks"
    glance_conf | conf "$dir/glance.conf" glance
    after mariadb
    once glance-db glance_sync
    after memcached
    daemon glance glance "$dir/glance.conf" -- glance-api --config-file "$dir/glance.conf"
    wait_for glance http 300 "$GLANCE_URL"
}

glance_sync() {
    as glance glance-manage --config-file "$STATE/glance/glance.conf" db_sync \
        >>"$LOG/glance-manage.log" 2>&1 ||
        { tail -n 20 "$LOG/glance-manage.log"; return 1; }
}

glance_conf() {
    cat <<CNF
[DEFAULT]
bind_host = 127.0.0.1
bind_port = $GLANCE_PORT
workers = 1
use_stderr = true
enabled_backends = file:file

[database]
connection = $(database_url glance)

[glance_store]
default_backend = file

[file]
filesystem_store_datadir = $STATE/glance/images

[os_glance_staging_store]
filesystem_store_datadir = $STATE/glance/staging

[os_glance_tasks_store]
filesystem_store_datadir = $STATE/glance/tasks

[oslo_concurrency]
lock_path = $STATE/glance/lock

[paste_deploy]
flavor = keystone
config_file = /etc/glance/glance-api-paste.ini

[keystone_authtoken]
$(authtoken glance "$GLANCE_PASSWORD")
memcached_servers = $MEMCACHED
CNF
}
