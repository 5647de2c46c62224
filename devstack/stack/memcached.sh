# shellcheck shell=bash
# The token cache of every OpenStack service.
# shellcheck disable=SC2034 # read by stages.sh
memcached_needs='' memcached_daemons='memcached'

memcached_up() {
    daemon memcached memcache -- memcached -l 127.0.0.1 -p "$MEMCACHED_PORT" -U 0 -m 64 -c 1024
    wait_for memcached memcached_answers
}

memcached_answers() {
    local reply
    exec 3<>"/dev/tcp/127.0.0.1/$MEMCACHED_PORT" || return
    printf 'version\r\nquit\r\n' >&3
    read -r -t 5 reply <&3
    exec 3>&-
    [[ $reply == VERSION* ]]
}
