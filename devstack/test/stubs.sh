#!/bin/bash
#
# DevStack's functions, as far as the plugin uses them: each writes down that
# it was called, and no more, save those that edit files.

CALLS=$SANDBOX/calls

function record {
    local IFS=' '
    # One line for each call; the sandbox has another name each time.
    printf '%s\n' "${*//$SANDBOX/SANDBOX}" >> $CALLS
}

for stub in define_plugin enable_service echo_summary install_package create_service_user \
    get_or_add_user_project_role get_or_create_service get_or_create_endpoint recreate_database \
    run_process stop_process start_tls_proxy wait_for_service openstack; do
    eval "function $stub { record $stub \"\$@\"; }"
done

function die {
    record die "${@:2}"
    exit 1
}

# Cinder and Swift are enabled by parts: c-api, s-proxy and so on.
function is_service_enabled {
    local service
    for service in "$@"; do
        case $service in
            cinder) service='c-[a-z]+' ;;
            swift) service='s-[a-z]+' ;;
        esac
        if [[ ,$ENABLED_SERVICES, =~ ,$service, ]]; then
            return 0
        fi
    done
    return 1
}

# sudo() - What needs root in DevStack only moves files about: here, inside the
# sandbox, and without changes of their owners.
function sudo {
    record sudo "$@"
    local words=() word skip=0
    for word in "$@"; do
        if ((skip)); then
            skip=0
        elif [[ $word == -o ]]; then
            skip=1
        else
            words+=("$word")
        fi
    done
    for word in "${words[@]}"; do
        if [[ $word == /* && $word != $SANDBOX/* ]]; then
            die $LINENO "sudo reaches out of the sandbox: $word"
        fi
    done
    "${words[@]}"
}

# iniset FILE SECTION OPTION VALUE
function iniset {
    record iniset "$@"
    local file=$1 section=$2 option=$3 value=$4
    touch $file
    if ! grep -qxF "[$section]" $file; then
        printf '\n[%s]\n' "$section" >> $file
    fi
    inidrop $file $section $option
    awk -v head="[$section]" -v line="$option = $value" \
        '{print} $0 == head {print line}' $file > $file.new
    cat $file.new > $file
    rm $file.new
}

# inidelete FILE SECTION OPTION
function inidelete {
    record inidelete "$@"
    inidrop "$@"
}

function inidrop {
    awk -v head="[$2]" -v option="$3" \
        '/^\[/ {inside = $0 == head} !(inside && $1 == option) {print}' $1 > $1.new
    cat $1.new > $1
    rm $1.new
}

function database_connection_url {
    echo "mysql+pymysql://root:secret@127.0.0.1/$1?charset=utf8&plugin=dbcounter"
}

function iniset_rpc_backend {
    record iniset_rpc_backend "$@"
    iniset $2 $3 transport_url "rabbit://stackrabbit:secret@127.0.0.1:5672/"
}

# As DevStack writes it.
function configure_keystone_authtoken_middleware {
    record configure_keystone_authtoken_middleware "$@"
    iniset $1 $3 auth_type password
    iniset $1 $3 interface public
    iniset $1 $3 auth_url $KEYSTONE_SERVICE_URI
    iniset $1 $3 username $2
    iniset $1 $3 password secret
    iniset $1 $3 user_domain_name "$SERVICE_DOMAIN_NAME"
    iniset $1 $3 project_name $SERVICE_PROJECT_NAME
    iniset $1 $3 project_domain_name "$SERVICE_DOMAIN_NAME"
    iniset $1 $3 cafile $SSL_BUNDLE_FILE
    iniset $1 $3 memcached_servers localhost:11211
    iniset $1 $3 service_type $4
}

# As the secret of mounts is made: not the same twice, and not in golden/.
function openssl {
    record openssl "$@"
    printf '%064d\n' $RANDOM
}

function hostname {
    echo devstack
}

function ceph {
    echo "ceph version 17.2.7 (b12291d110049b2f35e32e0de30d70e9a4c060d2) quincy (stable)"
}

function go {
    record go "$@" "(GOTOOLCHAIN=${GOTOOLCHAIN:-})"
    if [[ $1 == build ]]; then
        mkdir -p bin
        make_program bin/stowage
    fi
}

# make_program() - A stowage that only writes down what it was asked for, and
# makes files of keys
function make_program {
    cat > $1 <<EOF
#!/bin/bash
arguments="stowage \$*"
printf '%s\\n' "\${arguments//\$SANDBOX/SANDBOX}" >> \$SANDBOX/calls
if [[ "\$1 \$2" == "keys create" ]]; then
    install -m 600 /dev/null \$3
fi
EOF
    chmod +x $1
}
