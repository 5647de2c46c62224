# shellcheck shell=bash
# Nova with the fake virt driver: servers are rows that boot at once, while their
# volumes are attached in Cinder and their ports bound in Neutron for real.
# shellcheck disable=SC2034 # read by stages.sh
nova_needs='memcached mariadb rabbitmq keystone glance cinder placement neutron'
nova_daemons='nova-conductor nova-scheduler nova-api nova-compute'

nova_up() {
    local dir=$STATE/nova ini=$STATE/nova/uwsgi.ini
    own nova "$dir"
    nova_conf | conf "$dir/nova.conf" nova
    nova_database_conf | conf "$dir/database.conf" nova
    uwsgi_ini /usr/bin/nova-api-wsgi "$NOVA_PORT" 2 | conf "$ini" nova
    after mariadb
    once nova-db nova_sync
    after memcached rabbitmq
    daemon nova-api nova "$dir/nova.conf" "$dir/database.conf" "$ini" -- \
        env OS_NOVA_CONFIG_FILES="/etc/nova/api-paste.ini;$dir/nova.conf;$dir/database.conf" \
        uwsgi_python3 --ini "$ini"
    # These log in as they start, and end if they are not known.
    after keystone
    nova_daemon nova-conductor
    nova_daemon nova-scheduler
    # It reports its room at its start, and then only once a minute.
    after placement
    nova_compute
    wait_for nova-api http 200 "http://127.0.0.1:$NOVA_PORT"
    nova_flavors
    wait_for nova-scheduler running nova-conductor
    wait_for nova-compute nova_schedules
    after glance cinder neutron
}

nova_daemon() {
    local dir=$STATE/nova
    daemon "$1" nova "$dir/nova.conf" "$dir/database.conf" -- \
        "$1" --config-file "$dir/nova.conf" --config-file "$dir/database.conf"
}

# Without the package nova-compute, which is this line and a hypervisor, and
# without database.conf, which it would refuse.
nova_compute() {
    daemon nova-compute nova "$STATE/nova/nova.conf" -- \
        python3 -c 'from nova.cmd import compute; compute.main()' \
        --config-file "$STATE/nova/nova.conf"
}

nova_sync() {
    # Read for the user: the checkout may be closed to him.
    as nova python3 - --config-file "$STATE/nova/nova.conf" \
        --config-file "$STATE/nova/database.conf" \
        <"$HERE/nova_databases.py" >>"$LOG/nova-manage.log" 2>&1 ||
        { tail -n 20 "$LOG/nova-manage.log"; return 1; }
}

nova_conf() {
    cat <<CNF
[DEFAULT]
host = stack
my_ip = 127.0.0.1
use_stderr = true
state_path = $STATE/nova
transport_url = $TRANSPORT_URL
rootwrap_config = /etc/nova/rootwrap.conf
compute_driver = fake.FakeDriver
periodic_fuzzy_delay = 0
vif_plugging_is_fatal = false
vif_plugging_timeout = 0

[conductor]
workers = 1

[scheduler]
workers = 1
discover_hosts_in_cells_interval = 2

[quota]
instances = 500
cores = 1000
ram = -1

[wsgi]
api_paste_config = /etc/nova/api-paste.ini

[vnc]
enabled = false

[glance]
region_name = $REGION

[cinder]
os_region_name = $REGION
$(credentials nova "$NOVA_PASSWORD" | grep -v ^region_name)

[placement]
$(credentials nova "$NOVA_PASSWORD")

[neutron]
$(credentials nova "$NOVA_PASSWORD")

[service_user]
send_service_user_token = true
$(credentials nova "$NOVA_PASSWORD")

[oslo_concurrency]
lock_path = $STATE/nova/lock

[keystone_authtoken]
$(authtoken nova "$NOVA_PASSWORD")
memcached_servers = $MEMCACHED
CNF
}

nova_database_conf() {
    cat <<CNF
[api_database]
connection = $(database_url nova_api)

[database]
connection = $(database_url nova)
CNF
}

# nova_call METHOD PATH [BODY]: as the admin.
nova_call() {
    curl -fsS -m 60 -X "$1" -H "X-Auth-Token: $NOVA_TOKEN" \
        -H 'Content-Type: application/json' ${3:+-d "$3"} "$NOVA_URL$2"
}

# A server that boots from an image needs a flavor with a disk.
nova_flavors() {
    local flavors name ram disk
    NOVA_TOKEN=$(token admin "$ADMIN_PASSWORD" admin)
    flavors=$(nova_call GET /flavors)
    while read -r name ram disk; do
        jq -e --arg name "$name" '.flavors[] | select(.name == $name)' >/dev/null <<<"$flavors" ||
            nova_call POST /flavors "{\"flavor\": {\"name\": \"$name\", \"vcpus\": 1,
                \"ram\": $ram, \"disk\": $disk}}" >/dev/null
    done <<'FLAVORS'
m1.tiny 512 0
m1.small 2048 10
FLAVORS
}

# The host is known to the cell and to Placement: servers can be put on it.
nova_schedules() {
    nova_call GET /os-hypervisors/detail | jq -e '.hypervisors[] | select(.state == "up")' &&
        curl -fsS -m 60 -H "X-Auth-Token: $NOVA_TOKEN" -H 'OpenStack-API-Version: placement 1.10' \
            "$PLACEMENT_URL/allocation_candidates?resources=VCPU:1" |
        jq -e '.provider_summaries | length > 0'
}
