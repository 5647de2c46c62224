# shellcheck shell=bash
# One broker: vhost / for the services, vhost stowage-test for tests.
# shellcheck disable=SC2034 # read by stages.sh
rabbitmq_needs='' rabbitmq_daemons='epmd rabbitmq'

rabbitmq_up() {
    local dir=$STATE/rabbitmq
    own rabbitmq "$dir"
    [[ -e $dir/.erlang.cookie ]] || conf "$dir/.erlang.cookie" rabbitmq <<<"$RABBIT_COOKIE"
    rabbitmq_conf | conf "$dir/rabbitmq.conf" rabbitmq
    rabbitmq_definitions | conf "$dir/definitions.json" rabbitmq
    : | conf "$dir/env.conf" rabbitmq
    echo '[].' | conf "$dir/enabled_plugins" rabbitmq
    rabbitmq_environment
    rabbitmq_wrapper
    daemon epmd rabbitmq -- epmd -address 127.0.0.1 -port "$EPMD_PORT"
    wait_for epmd epmd -port "$EPMD_PORT" -names
    # With input "allowed" the script becomes the broker instead of waiting for
    # it; -noinput then forbids the input after all.
    # A test may have left the application stopped inside a running node.
    if running rabbitmq && ! rabbitmq_soon; then
        "$STATE/bin/rabbitmqctl" -q start_app || true
    fi
    daemon rabbitmq rabbitmq "$dir/rabbitmq.conf" "$dir/definitions.json" -- \
        env "${RABBITMQ_ENV[@]}" RABBITMQ_ALLOW_INPUT=1 /usr/lib/rabbitmq/bin/rabbitmq-server
    wait_for rabbitmq rabbitmq_answers
}

rabbitmq_environment() {
    local dir=$STATE/rabbitmq
    RABBITMQ_ENV=(
        HOME="$dir"
        ERL_EPMD_ADDRESS=127.0.0.1
        ERL_EPMD_PORT="$EPMD_PORT"
        RABBITMQ_NODENAME=rabbit@localhost
        RABBITMQ_DIST_PORT="$RABBIT_DIST_PORT"
        RABBITMQ_CONF_ENV_FILE="$dir/env.conf"
        RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf"
        RABBITMQ_ENABLED_PLUGINS_FILE="$dir/enabled_plugins"
        RABBITMQ_MNESIA_BASE="$dir/mnesia"
        RABBITMQ_LOG_BASE="$dir"
        RABBITMQ_PID_FILE="$dir/pid"
        # No busy waiting: the cores are shared with everything else.
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-noinput +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
    )
}

rabbitmq_conf() {
    cat <<CNF
listeners.tcp.1 = 127.0.0.1:$RABBIT_PORT
load_definitions = $STATE/rabbitmq/definitions.json
log.console = true
log.console.level = info
log.file = false
CNF
}

# Definitions instead of rabbitmqctl: each call of that starts an Erlang VM.
rabbitmq_definitions() {
    jq -n --arg password "$RABBIT_PASSWORD" '["/", "stowage-test"] as $vhosts | {
        users: [{name: "openstack", password: $password, tags: "administrator"}],
        vhosts: [$vhosts[] | {name: .}],
        permissions: [$vhosts[] |
            {user: "openstack", vhost: ., configure: ".*", write: ".*", read: ".*"}]}'
}

rabbitmq_wrapper() {
    {
        echo '#!/bin/sh'
        echo "# rabbitmqctl for this stack's broker."
        echo "cd / && exec env -i PATH=$PATH LANG=$LANG \\"
        printf "    '%s' \\\\\\n" "${RABBITMQ_ENV[@]}"
        echo "    setpriv --reuid rabbitmq --regid rabbitmq --init-groups \\"
        # shellcheck disable=SC2016 # for the wrapper to expand
        echo '    /usr/lib/rabbitmq/bin/rabbitmqctl "$@"'
    } | conf "$STATE/bin/rabbitmqctl" root
    chmod 700 "$STATE/bin/rabbitmqctl"
}

# The first bytes of AMQP 0-9-1; only a started broker answers with a frame.
rabbitmq_answers() {
    local first
    exec 3<>"/dev/tcp/127.0.0.1/$RABBIT_PORT" || return
    printf 'AMQP\0\0\011\001' >&3
    first=$(timeout 5 head -c 1 <&3 | od -An -tu1)
    exec 3>&-
    ((first == 1))
}

rabbitmq_soon() {
    local end=$((SECONDS + 5))
    until (rabbitmq_answers) 2>/dev/null; do
        if ((SECONDS >= end)); then
            return 1
        fi
        sleep 0.2
    done
}
