# shellcheck shell=bash
# The stages in the order in which they may be listed, what each of them needs,
# and how they are brought up side by side and taken down again.
#
# A stage is a file NAME.sh here with
#   NAME_needs    the stages that must be up before its own daemons can be
#   NAME_daemons  its daemons, in starting order
#   NAME_up       brings it up; may run again any time
# To add one (horizon): write the file, add the name below.
STAGES=(memcached mariadb rabbitmq mail ceph keystone swift glance cinder placement neutron nova stowage)

for stage in "${STAGES[@]}"; do
    # shellcheck source=/dev/null
    . "$HERE/$stage.sh"
done

needs_of() {
    local -n needs=${1}_needs
    # shellcheck disable=SC2086 # a list of words
    printf '%s\n' $needs
}

daemons_of() {
    local -n daemons=${1}_daemons
    # shellcheck disable=SC2086 # a list of words
    printf '%s\n' $daemons
}

# The stages asked for and all they need, in the order of STAGES.
chosen_stages() {
    local chosen=" $* " stage need i
    for ((i = ${#STAGES[@]} - 1; i >= 0; i--)); do
        stage=${STAGES[i]}
        [[ $chosen == *" $stage "* ]] || continue
        for need in $(needs_of "$stage"); do
            chosen+="$need "
        done
    done
    for stage in "${STAGES[@]}"; do
        if [[ $chosen == *" $stage "* ]]; then
            echo "$stage"
        fi
    done
}

# after STAGE...: inside NAME_up, waits until those stages are up. A stage may
# do what does not depend on them first.
after() {
    local stage
    for stage in "$@"; do
        until [[ -e $RUN/stage.$stage.ok ]]; do
            if [[ -e $RUN/stage.$stage.failed ]]; then
                echo "not tried, because $stage failed" >&2
                exit 1
            fi
            up_lives
            sleep 0.1
        done
    done
}

# One stage in its own subshell, so that `set -e` and `exit` end only it.
run_stage() {
    local stage=$1 begin=${EPOCHREALTIME/./} code took
    set +e
    (
        set -e
        "${stage}_up"
    ) >"$RUN/stage.$stage.out" 2>&1
    code=$?
    took=$((${EPOCHREALTIME/./} - begin))
    if ((code == 0)); then
        touch "$RUN/stage.$stage.ok"
        printf 'up: %-10s %3d.%d s\n' "$stage" $((took / 1000000)) $((took / 100000 % 10))
        sed 's/^/    /' "$RUN/stage.$stage.out"
    else
        touch "$RUN/stage.$stage.failed"
        {
            printf 'up: %s FAILED\n' "$stage"
            tail -n 40 "$RUN/stage.$stage.out" | sed 's/^/    /'
        } >&2
    fi
    return "$code"
}

# Leaves its result in FAILED: a caller asking `if run_stages` or `|| die` would
# switch `set -e` off in all that runs inside.
run_stages() {
    local jobs=() job failed=0 stage
    rm -f "$RUN"/stage.*
    for stage in "$@"; do
        run_stage "$stage" &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do
        wait "$job" || failed=1
    done
    # shellcheck disable=SC2034 # read by up
    FAILED=$failed
}

halt_stage() {
    local daemons i
    mapfile -t daemons < <(daemons_of "$1")
    for ((i = ${#daemons[@]} - 1; i >= 0; i--)); do
        halt "${daemons[i]}"
    done
}

# Those that need others first, or they spend their last seconds retrying
# against a database that has gone.
halt_stages() {
    local stage wave
    for wave in users foundations; do
        for stage in "${STAGES[@]}"; do
            if [[ -n $(needs_of "$stage") ]]; then
                [[ $wave == users ]] && halt_stage "$stage" &
            else
                [[ $wave == foundations ]] && halt_stage "$stage" &
            fi
        done
        wait
    done
}
