# shellcheck shell=bash
# Keystone under uwsgi, and what lives in it: keystone_content.py.
# shellcheck disable=SC2034 # read by stages.sh
keystone_needs='memcached mariadb' keystone_daemons='keystone'

keystone_up() {
    local dir=$STATE/keystone ini=$STATE/keystone/uwsgi.ini
    own keystone "$dir"
    keystone_conf | conf "$dir/keystone.conf" keystone
    uwsgi_ini /usr/bin/keystone-wsgi-public "$KEYSTONE_PORT" 2 | conf "$ini" keystone
    keystone_keys "$dir/fernet"
    keystone_keys "$dir/credential"
    after mariadb
    once keystone-db keystone_manage db_sync
    once keystone-bootstrap keystone_bootstrap
    after memcached
    daemon keystone keystone "$dir/keystone.conf" "$ini" -- \
        env OS_KEYSTONE_CONFIG_FILES="$dir/keystone.conf" uwsgi_python3 --ini "$ini"
    wait_for keystone http 200 "$KEYSTONE_URL"
    # shellcheck disable=SC2154 # the stages of this up
    python3 "$HERE/keystone_content.py" "$STATE/env" "${chosen[@]}" >"$dir/ids.new"
    mv "$dir/ids.new" "$dir/ids"
}

# password_hash_rounds: with the default every login is a bcrypt benchmark.
keystone_conf() {
    cat <<CNF
[DEFAULT]
use_stderr = true
public_endpoint = http://127.0.0.1:$KEYSTONE_PORT/

[database]
connection = $(database_url keystone)

[cache]
enabled = true
backend = dogpile.cache.pymemcache
memcache_servers = $MEMCACHED

[token]
provider = fernet

[fernet_tokens]
key_repository = $STATE/keystone/fernet

[fernet_receipts]
key_repository = $STATE/keystone/fernet

[credential]
key_repository = $STATE/keystone/credential

[identity]
password_hash_rounds = 4

[oslo_middleware]
enable_proxy_headers_parsing = false
CNF
}

# What `keystone-manage fernet_setup` writes, without its two seconds: key 0 is
# the next one, the highest number signs.
keystone_keys() {
    local number
    own keystone "$1"
    for number in 0 1; do
        [[ -e $1/$number ]] || openssl rand -base64 32 | tr -- '+/' '-_' | tr -d '\n' |
            conf "$1/$number" keystone
    done
}

keystone_manage() {
    as keystone keystone-manage --config-file "$STATE/keystone/keystone.conf" "$@" \
        >>"$LOG/keystone-manage.log" 2>&1 ||
        { tail -n 20 "$LOG/keystone-manage.log"; return 1; }
}

keystone_bootstrap() {
    # By the environment: arguments are for everybody to read.
    env -i PATH="$PATH" LANG="$LANG" HOME=/ OS_BOOTSTRAP_PASSWORD="$ADMIN_PASSWORD" \
        setpriv --reuid keystone --regid keystone --init-groups \
        keystone-manage --config-file "$STATE/keystone/keystone.conf" bootstrap \
        --bootstrap-region-id "$REGION" --bootstrap-public-url "$KEYSTONE_URL" \
        >>"$LOG/keystone-manage.log" 2>&1 ||
        { tail -n 20 "$LOG/keystone-manage.log"; return 1; }
}
