# shellcheck shell=bash
# A whole Ceph cluster of one monitor, one manager and one OSD on a sparse file.
# shellcheck disable=SC2034 # read by stages.sh
ceph_needs='' ceph_daemons='ceph-mon ceph-osd ceph-mgr'

ceph_up() {
    local dir=$STATE/ceph
    own ceph "$dir" "$dir/run"
    # Clients of any user read ceph.conf; there is no secret in it.
    chmod 755 "$dir"
    ceph_conf | conf "$CEPH_CONF" ceph
    chmod 644 "$CEPH_CONF"
    once ceph ceph_create
    ceph_keyring_for client.cinder "$CEPH_KEYRING" cinder
    daemon ceph-mon ceph "$CEPH_CONF" -- ceph-mon -f -i a -c "$CEPH_CONF"
    wait_for ceph-mon ceph_admin mon stat
    once ceph-osd ceph_admin osd new "$(cat "$dir/osd/uuid")"
    daemon ceph-osd ceph "$CEPH_CONF" -- ceph-osd -f -i 0 -c "$CEPH_CONF"
    daemon ceph-mgr ceph "$CEPH_CONF" -- ceph-mgr -f -i a -c "$CEPH_CONF"
    once ceph-pool ceph_pool
    wait_for ceph-osd timeout 20 rbd -c "$CEPH_CONF" --id admin ls "$CEPH_POOL"
    # Free space, which Cinder's scheduler goes by, is known only through the mgr.
    wait_for ceph-mgr ceph_knows_free_space
}

ceph_admin() { timeout 120 ceph -c "$CEPH_CONF" --connect-timeout 60 "$@" >/dev/null; }

# enforce_settings: an OSD on a file is taken for a spinning disk and would write
# data twice. run_dir and admin_socket: or two stacks meet in /var/run/ceph.
ceph_conf() {
    local dir=$STATE/ceph
    cat <<CNF
[global]
fsid = $CEPH_FSID
mon_host = [v2:127.0.0.1:$CEPH_MON_PORT,v1:127.0.0.1:$CEPH_MON_V1_PORT]
mon_initial_members = a
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
run_dir = $dir/run
admin_socket =
log_file =
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_autoscale_mode = off

[mon]
log_to_stderr = true
err_to_stderr = true
debug_rocksdb = 0/0
mon_cluster_log_to_file = false
mon_data = $dir/mon
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_warn_on_pool_no_redundancy = false
mon_data_avail_crit = 1
mon_data_avail_warn = 3
auth_allow_insecure_global_id_reclaim = false

[mgr]
log_to_stderr = true
err_to_stderr = true
mgr_data = $dir/mgr
mgr_initial_modules =

[osd]
log_to_stderr = true
err_to_stderr = true
debug_rocksdb = 0/0
osd_data = $dir/osd
osd_objectstore = bluestore
osd_crush_chooseleaf_type = 0
osd_memory_target = 1073741824
bluestore_block_size = ${CEPH_OSD_BYTES:-25769803776}
bluestore_debug_enforce_settings = ssd

[client.admin]
keyring = $dir/ceph.client.admin.keyring

[client.cinder]
keyring = $CEPH_KEYRING
CNF
}

# All keys go into the monitor's first keyring: no `auth add` afterwards.
ceph_create() {
    local dir=$STATE/ceph keys=$STATE/ceph/keys map=$STATE/ceph/monmap
    halt_stage ceph
    rm -rf "$dir/mon" "$dir/osd" "$dir/mgr" "$keys" "$map" "$STATE/done/ceph-"*
    own ceph "$dir/mon" "$dir/osd" "$dir/mgr"
    as ceph ceph-authtool -C "$keys" --gen-key -n mon. --cap mon 'allow *' >/dev/null
    ceph_key client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' --cap mds 'allow *'
    ceph_key mgr.a --cap mon 'allow profile mgr' --cap osd 'allow *' --cap mds 'allow *'
    ceph_key osd.0 --cap mon 'allow profile osd' --cap mgr 'allow profile osd' --cap osd 'allow *'
    ceph_key client.cinder --cap mon 'profile rbd' --cap osd "profile rbd pool=$CEPH_POOL"
    ceph_keyring_for client.admin "$dir/ceph.client.admin.keyring" root
    ceph_keyring_for osd.0 "$dir/osd/keyring" ceph
    ceph_keyring_for mgr.a "$dir/mgr/keyring" ceph
    as ceph monmaptool --create --clobber --fsid "$CEPH_FSID" --addv a \
        "[v2:127.0.0.1:$CEPH_MON_PORT,v1:127.0.0.1:$CEPH_MON_V1_PORT]" "$map" >/dev/null
    as ceph ceph-mon --mkfs -i a -c "$CEPH_CONF" --monmap "$map" --keyring "$keys" \
        >>"$LOG/ceph-mon.log" 2>&1
    cat /proc/sys/kernel/random/uuid >"$dir/osd/uuid"
    as ceph ceph-osd --mkfs -i 0 -c "$CEPH_CONF" --monmap "$map" \
        --osd-uuid "$(cat "$dir/osd/uuid")" --no-mon-config >>"$LOG/ceph-osd.log" 2>&1
}

ceph_key() { as ceph ceph-authtool "$STATE/ceph/keys" --gen-key -n "$@" >/dev/null; }

ceph_keyring_for() { # NAME FILE OWNER
    local key
    key=$(ceph-authtool "$STATE/ceph/keys" -n "$1" --print-key)
    printf '[%s]\n\tkey = %s\n' "$1" "$key" | conf "$2" "$3"
}

ceph_pool() {
    ceph_admin osd pool create "$CEPH_POOL" 16 16 2>/dev/null
    ceph_admin osd pool application enable "$CEPH_POOL" rbd 2>/dev/null
}

ceph_knows_free_space() {
    timeout 30 ceph -c "$CEPH_CONF" df -f json |
        jq -e --arg pool "$CEPH_POOL" \
            '.pools[] | select(.name == $pool) | .stats.max_avail > 0'
}
