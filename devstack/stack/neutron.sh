# shellcheck shell=bash
# Neutron's API alone: no agents and no RPC workers, because there is nothing to
# be connected. Servers of the fake driver get ports with addresses all the same.
# shellcheck disable=SC2034 # read by stages.sh
neutron_needs='memcached mariadb rabbitmq keystone' neutron_daemons='neutron'

neutron_up() {
    local dir=$STATE/neutron ini=$STATE/neutron/uwsgi.ini
    own neutron "$dir" "$dir/lib"
    neutron_conf | conf "$dir/neutron.conf" neutron
    neutron_driver "$dir/lib"
    uwsgi_ini /usr/bin/neutron-api "$NEUTRON_PORT" 1 "--config-file $dir/neutron.conf" |
        conf "$ini" neutron
    after mariadb
    once neutron-db neutron_sync
    after memcached rabbitmq
    daemon neutron neutron "$dir/neutron.conf" "$dir/lib/stack_ml2.py" "$ini" -- \
        env PYTHONPATH="$dir/lib" uwsgi_python3 --ini "$ini"
    wait_for neutron http 200 "$NEUTRON_URL"
    after keystone
    neutron_network
}

neutron_sync() {
    as neutron neutron-db-manage --config-file "$STATE/neutron/neutron.conf" upgrade heads \
        >>"$LOG/neutron-manage.log" 2>&1 ||
        { tail -n 20 "$LOG/neutron-manage.log"; return 1; }
}

# What an installer would leave: it makes the driver's entry point known.
neutron_driver() {
    local info=$1/stack_ml2-1.dist-info
    own neutron "$info"
    conf "$1/stack_ml2.py" neutron <"$HERE/neutron_driver.py"
    printf '%s\n' 'Metadata-Version: 2.1' 'Name: stack-ml2' 'Version: 1' |
        conf "$info/METADATA" neutron
    printf '%s\n' '[neutron.ml2.mechanism_drivers]' 'stack = stack_ml2:Driver' |
        conf "$info/entry_points.txt" neutron
}

neutron_conf() {
    cat <<CNF
[DEFAULT]
host = stack
use_stderr = true
state_path = $STATE/neutron
api_paste_config = /etc/neutron/api-paste.ini
transport_url = $TRANSPORT_URL
core_plugin = ml2
service_plugins = router
dhcp_agent_notification = false
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false

[ml2]
type_drivers = local
tenant_network_types = local
mechanism_drivers = stack

[quotas]
quota_port = 1000

[database]
connection = $(database_url neutron)

[placement]
$(credentials neutron "$NEUTRON_PASSWORD")

[oslo_concurrency]
lock_path = $STATE/neutron/lock

[keystone_authtoken]
$(authtoken neutron "$NEUTRON_PASSWORD")
memcached_servers = $MEMCACHED
CNF
}

# neutron_call METHOD PATH [BODY]: as the admin.
neutron_call() {
    curl -fsS -m 60 -X "$1" -H "X-Auth-Token: $NEUTRON_TOKEN" \
        -H 'Content-Type: application/json' ${3:+-d "$3"} "$NEUTRON_URL/v2.0$2"
}

# The network `private`, for all projects. It is demo's own: only the owner of a
# network may choose addresses in it.
neutron_network() {
    local id project
    project=$(sed -n 's/^DEMO_PROJECT_ID=//p' "$STATE/keystone/ids")
    NEUTRON_TOKEN=$(token admin "$ADMIN_PASSWORD" admin)
    id=$(neutron_call GET '/networks?name=private&shared=true' | jq -r '.networks[0].id // ""')
    if [[ -z $id ]]; then
        id=$(neutron_call POST /networks "{\"network\": {\"name\": \"private\", \"shared\": true,
            \"project_id\": \"$project\"}}" | jq -r .network.id)
    fi
    neutron_call GET "/subnets?network_id=$id" | jq -e '.subnets[0]' >/dev/null ||
        neutron_call POST /subnets "{\"subnet\": {\"name\": \"private\", \"network_id\": \"$id\",
            \"project_id\": \"$project\", \"ip_version\": 4, \"cidr\": \"10.20.0.0/24\", \"enable_dhcp\": false}}" >/dev/null
    echo "PRIVATE_NETWORK_ID=$id" | conf "$STATE/neutron/ids" neutron
}
