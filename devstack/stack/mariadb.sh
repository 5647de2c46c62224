# shellcheck shell=bash
# One MariaDB for the OpenStack services, Stowage and the databases of tests.
# shellcheck disable=SC2034 # read by stages.sh
mariadb_needs='' mariadb_daemons='mariadb'

mariadb_up() {
    own mysql "$STATE/mariadb" "$STATE/mariadb/tmp"
    mariadb_conf | conf "$STATE/mariadb/my.cnf" mysql
    once mariadb mariadb_create
    daemon mariadb mysql "$STATE/mariadb/my.cnf" -- \
        mariadbd --defaults-file="$STATE/mariadb/my.cnf"
    wait_for mariadb mariadb-admin --no-defaults -S "$DB_SOCKET" -u root ping
    mariadb_content | mariadb --no-defaults -S "$DB_SOCKET" -u root
}

# The flush and doublewrite settings trade the last second before a power cut
# for speed; a killed mariadbd loses nothing, the kernel still has its writes.
mariadb_conf() {
    cat <<CNF
[mariadbd]
datadir = $STATE/mariadb/data
socket = $DB_SOCKET
pid_file = $STATE/mariadb/mysqld.pid
tmpdir = $STATE/mariadb/tmp
bind_address = 127.0.0.1
port = $DB_PORT
skip_name_resolve
character_set_server = utf8mb4
max_connections = 600
innodb_buffer_pool_size = 256M
innodb_flush_log_at_trx_commit = 2
innodb_log_file_size = 64M
performance_schema = off
CNF
}

# An attempt cut short leaves a directory that cannot be told from a whole one.
mariadb_create() {
    rm -rf "$STATE/mariadb/data"
    as mysql mariadb-install-db --defaults-file="$STATE/mariadb/my.cnf" --skip-test-db \
        --skip-name-resolve --auth-root-authentication-method=socket \
        --auth-root-socket-user=root >"$LOG/mariadb-install.log" 2>&1 ||
        { tail -n 20 "$LOG/mariadb-install.log"; return 1; }
}

mariadb_content() {
    local databases=(keystone glance cinder placement neutron nova_api nova_cell0 nova)
    local service host
    for service in "${databases[@]}"; do
        echo "CREATE DATABASE IF NOT EXISTS $service CHARACTER SET utf8mb3;"
    done
    echo "CREATE DATABASE IF NOT EXISTS stowage CHARACTER SET utf8mb4;"
    echo "CREATE DATABASE IF NOT EXISTS stowage_test CHARACTER SET utf8mb4;"
    for host in localhost 127.0.0.1; do
        for service in "${databases[@]}"; do
            echo "GRANT ALL ON $service.* TO openstack@'$host' IDENTIFIED BY '$DB_OPENSTACK_PASSWORD';"
        done
        echo "GRANT ALL ON stowage.* TO stowage@'$host' IDENTIFIED BY '$DB_PASSWORD';"
        echo "GRANT ALL ON \`stowage\\_test%\`.* TO stowage@'$host';"
    done
}
