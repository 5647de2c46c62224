# shellcheck shell=bash
# Ports, passwords and addresses: chosen at the first `up`, kept in STATE/env
# from then on. Tests and demos source that file.

KEYS=()

# keep KEY VALUE: the value of an earlier `up` wins.
keep() {
    [[ -n ${!1:-} ]] || printf -v "$1" %s "$2"
    KEYS+=("$1")
}

# put KEY VALUE: follows from other keys, so it is made anew each time.
put() {
    printf -v "$1" %s "$2"
    KEYS+=("$1")
}

secret() { keep "$1" "${!1:-$(openssl rand -hex 16)}"; }

# Ports in use now, and those that stacks of other checkouts count on.
taken_ports() {
    local env
    ss -ltnH | awk '{sub(/.*:/, "", $4); print $4}'
    for env in /var/tmp/stowage-stack-*/env; do
        if [[ -r $env && ! $env -ef $STATE/env ]]; then
            sed -n 's/^[A-Z0-9_]*_PORT=//p' "$env"
        fi
    done
}

# port KEY WELLKNOWN: that one if it is free, else one below the range from
# which the kernel takes the ports of outgoing connections.
port() {
    local candidate=$2
    if [[ -z ${!1:-} ]]; then
        [[ -n ${TAKEN:-} ]] || TAKEN=" $(taken_ports | tr '\n' ' ')"
        while [[ $TAKEN == *" $candidate "* ]]; do
            candidate=$((candidate < 20000 ? 20000 + candidate % 10000 : candidate + 1))
        done
        TAKEN+="$candidate "
    fi
    keep "$1" "$candidate"
}

choose_ports() {
    port DB_PORT 3306
    port RABBIT_PORT 5672
    port RABBIT_DIST_PORT 25672
    port EPMD_PORT 4369
    port MEMCACHED_PORT 11211
    port KEYSTONE_PORT 5000
    port SWIFT_PORT 8080
    port SWIFT_OBJECT_PORT 6200
    port SWIFT_CONTAINER_PORT 6201
    port SWIFT_ACCOUNT_PORT 6202
    port CEPH_MON_PORT 3300
    port CEPH_MON_V1_PORT 6789
    port GLANCE_PORT 9292
    port CINDER_PORT 8776
    port PLACEMENT_PORT 8778
    port NEUTRON_PORT 9696
    port NOVA_PORT 8774
    port STOWAGE_PORT 8799
    port MOUNTS_PORT 8786
    port MAIL_PORT 2587
    port MAIL_TLS_PORT 2465
}

choose_secrets() {
    local user
    for user in ADMIN DEMO ALT DEMO_READER STOWAGE STOWAGE_RESELLER SWIFT GLANCE CINDER \
        PLACEMENT NEUTRON NOVA DB DB_OPENSTACK RABBIT MAIL; do
        secret "${user}_PASSWORD"
    done
    secret MOUNTS_SECRET
    secret RABBIT_COOKIE
    secret SWIFT_HASH_PREFIX
    secret SWIFT_HASH_SUFFIX
    keep CEPH_FSID "$(</proc/sys/kernel/random/uuid)"
}

derive() {
    local db="mysql+pymysql://stowage:$DB_PASSWORD@127.0.0.1:$DB_PORT"
    local rabbit="rabbit://openstack:$RABBIT_PASSWORD@127.0.0.1:$RABBIT_PORT"
    put STACK_DIR "$STATE"
    put STACK_PID_DIR "$RUN"
    put STACK_LOG_DIR "$LOG"
    put REGION RegionOne
    put KEYSTONE_URL "http://127.0.0.1:$KEYSTONE_PORT/v3"
    put SWIFT_URL "http://127.0.0.1:$SWIFT_PORT"
    put GLANCE_URL "http://127.0.0.1:$GLANCE_PORT"
    put CINDER_URL "http://127.0.0.1:$CINDER_PORT/v3"
    put PLACEMENT_URL "http://127.0.0.1:$PLACEMENT_PORT"
    put NEUTRON_URL "http://127.0.0.1:$NEUTRON_PORT"
    put NOVA_URL "http://127.0.0.1:$NOVA_PORT/v2.1"
    put STOWAGE_URL "http://127.0.0.1:$STOWAGE_PORT"
    put MEMCACHED "127.0.0.1:$MEMCACHED_PORT"
    put DB_HOST 127.0.0.1
    put DB_USER stowage
    put DB_SOCKET "$STATE/mariadb/mysqld.sock"
    put DB_URL "$db/stowage"
    put TEST_DB_URL "$db/stowage_test"
    put TEST_DB_PREFIX stowage_test
    put RABBIT_USER openstack
    put TRANSPORT_URL "$rabbit/"
    put TEST_TRANSPORT_URL "$rabbit/stowage-test"
    put RABBITMQCTL "$STATE/bin/rabbitmqctl"
    put MAIL_USER stowage
    put MAIL_CA "$STATE/mail/cert.pem"
    put MAIL_DIR "$STATE/mail/maildir"
    put CEPH_CONF "$STATE/ceph/ceph.conf"
    put CEPH_USER cinder
    put CEPH_KEYRING "$STATE/ceph/ceph.client.cinder.keyring"
    put CEPH_POOL volumes
}

# Ids that Keystone and Neutron gave; their stages leave them in files.
load_ids() {
    local key value file
    for file in "$STATE"/{keystone,neutron}/ids; do
        [[ -r $file ]] || continue
        while IFS='=' read -r key value; do
            put "$key" "$value"
        done <"$file"
    done
}

write_env() {
    local key
    for key in "${KEYS[@]}"; do
        printf '%s=%q\n' "$key" "${!key}"
    done |
        sort -u | conf "$STATE/env" root
}

load_settings() {
    # shellcheck source=/dev/null
    if [[ -r $STATE/env ]]; then
        . "$STATE/env"
    fi
    choose_ports
    choose_secrets
    derive
    load_ids
}

# openrc FILE USER PASSWORD PROJECT
openrc() {
    conf "$STATE/$1" root <<RC
export OS_AUTH_URL=$KEYSTONE_URL
export OS_AUTH_TYPE=password
export OS_IDENTITY_API_VERSION=3
export OS_VOLUME_API_VERSION=3
export OS_REGION_NAME=$REGION
export OS_INTERFACE=public
export OS_USER_DOMAIN_NAME=Default
export OS_PROJECT_DOMAIN_NAME=Default
export OS_USERNAME=$2
export OS_PASSWORD=$3
export OS_PROJECT_NAME=$4
RC
}

write_openrcs() {
    openrc openrc-admin admin "$ADMIN_PASSWORD" admin
    openrc openrc-demo demo "$DEMO_PASSWORD" demo
    openrc openrc-alt alt "$ALT_PASSWORD" alt
    openrc openrc-demo-reader demo_reader "$DEMO_READER_PASSWORD" demo
    openrc openrc-service stowage "$STOWAGE_PASSWORD" service
    openrc openrc-reseller stowage_reseller "$STOWAGE_RESELLER_PASSWORD" service
}
