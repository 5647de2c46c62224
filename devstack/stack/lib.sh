# shellcheck shell=bash
# What every stage of the stack leans on: where things are, how a daemon is
# started, found again, waited for and stopped. Sourced first by each command.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Proxies, PIP_*, OS_* and a pyenv python in PATH must not reach the daemons,
# nor may a stray DB_PORT pass for one of our settings.
if [[ ${STOWAGE_STACK_CLEAN:-} != yes ]]; then
    kept=(STOWAGE_STACK_CLEAN=yes PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/)
    for name in "${!STOWAGE_@}"; do
        kept+=("$name=${!name}")
    done
    exec env -i "${kept[@]}" "$0" "$@"
fi
cd /

default_state() {
    local checkout
    checkout=$(cd "$HERE/../.." && pwd -P)
    printf '/var/tmp/stowage-stack-%.8s' "$(printf %s "$checkout" | sha256sum)"
}

STATE=${STOWAGE_STACK_DIR:-$(default_state)}
RUN=$STATE/run
LOG=$STATE/log
LIMIT=${STOWAGE_STACK_TIMEOUT:-180} # seconds; builds beside us are no failure

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Only one up or down at a time. Daemons are started without this descriptor:
# they would hold the lock for as long as they live.
lock_state() {
    ((EUID == 0)) || die "must be root: every daemon runs as the user of its package"
    [[ $STATE == /* ]] || die "STOWAGE_STACK_DIR must be an absolute path: $STATE"
    [[ $STATE =~ ^[A-Za-z0-9/._-]+$ ]] || die "unusual characters in STOWAGE_STACK_DIR: $STATE"
    mkdir -p "$STATE"
    # /var/tmp is anybody's: a directory made for us there is not ours.
    [[ -O $STATE && ! -L $STATE ]] || die "$STATE belongs to somebody else"
    chmod 755 "$STATE"
    mkdir -p "$RUN" "$STATE/bin" "$STATE/done"
    install -d -m 700 "$LOG"
    exec 9>"$STATE/lock"
    flock -w 600 9 || die "another up or down has held $STATE/lock for ten minutes"
    [[ $STATE/lock -ef /proc/self/fd/9 ]] || die "$STATE was purged meanwhile; try again"
}

# conf FILE OWNER <TEXT: a file nobody else may read, replaced in one step.
conf() {
    local draft
    draft=$(mktemp "$1.XXXXXX")
    cat >"$draft"
    chown "$2:" "$draft"
    mv "$draft" "$1"
}

# own USER DIR...: directories that belong to one daemon's user.
own() {
    local user=$1
    shift
    install -d -m 750 -o "$user" -g "$(id -gn "$user")" "$@"
}

# as USER CMD...: one command in the daemons' clean environment.
as() {
    local user=$1
    shift
    env -i PATH="$PATH" LANG="$LANG" HOME=/ setpriv --reuid "$user" --regid "$user" \
        --init-groups "$@"
}

# once NAME CMD...: what an empty state needs and a filled one must not get again.
once() {
    local name=$1
    shift
    [[ -e $STATE/done/$name ]] && return
    "$@"
    touch "$STATE/done/$name"
}

# A daemon carries its stack and name in its environment, and its children
# inherit them. So a process is known to be ours whatever its pid file says,
# after a reboot or with the pid long given to another.
mark() { printf 'STOWAGE_STACK=%s:%s' "$STATE" "$1"; }

pid_of() { cat "$RUN/$1.pid" 2>/dev/null; }

# A process keeps its pid and its time of birth when it replaces its program,
# while its environment cannot be read in the middle of that.
running() {
    local pid
    pid=$(pid_of "$1") && [[ -n $pid ]] && alive "$pid" &&
        [[ $(born "$pid") == "$(cat "$RUN/$1.born" 2>/dev/null)" ]]
}

# born PID: when it began, in ticks since the boot it tells.
born() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # The name of the program, in parentheses, may hold anything.
    # shellcheck disable=SC2086 # words are what is wanted
    set -- ${stat##*) }
    echo "$(cat /proc/sys/kernel/random/boot_id) ${20}"
}

# alive PID: neither gone nor a zombie.
alive() {
    local state
    state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null)
    [[ -n $state && $state != [ZX]* ]]
}

# Every process with the daemon's mark: itself, workers, orphans of a killed one.
family() {
    local environs file
    environs=$(grep -lzFx "$(mark "$1")" /proc/[0-9]*/environ 2>/dev/null) || true
    for file in $environs; do
        file=${file#/proc/}
        echo "${file%/environ}"
    done
}

# daemon NAME USER [FILE...] -- CMD...: keeps CMD running as USER. It is
# restarted when it died, or when its command or one of the FILEs changed.
daemon() {
    local name=$1 user=$2 files=() stamp pid
    shift 2
    while [[ $1 != -- ]]; do
        files+=("$1")
        shift
    done
    shift
    stamp=$({ cat "${files[@]}" /dev/null; printf '%s\0' "$@"; } | sha256sum)
    if running "$name" && [[ $(cat "$RUN/$name.stamp" 2>/dev/null) == "$stamp" ]]; then
        return 0
    fi
    halt "$name"
    # Each word up to CMD replaces itself by the next, so $! is the daemon's pid.
    setsid env -i PATH="$PATH" LANG="$LANG" HOME=/ "$(mark "$name")" \
        setpriv --reuid "$user" --regid "$user" --init-groups "$@" \
        </dev/null >>"$LOG/$name.log" 2>&1 9>&- &
    pid=$!
    born "$pid" >"$RUN/$name.born" || true # it may have ended by now
    echo "$pid" >"$RUN/$name.pid"
    echo "$stamp" >"$RUN/$name.stamp"
}

# wait_for NAME CMD...: until CMD succeeds, the daemon dies or time is up.
wait_for() {
    local name=$1 end=$((SECONDS + LIMIT))
    shift
    until "$@" >/dev/null 2>&1; do
        up_lives
        running "$name" || broken "$name" "it is not running"
        ((SECONDS < end)) || broken "$name" "no answer in $LIMIT s"
        sleep 0.2
    done
}

# A stage whose `up` was interrupted must not go on waiting with its lock.
up_lives() {
    [[ -e /proc/$$ ]] || exit 1
}

broken() {
    {
        echo "$1 did not come up: $2; last lines of $LOG/$1.log:"
        tail -n 20 "$LOG/$1.log" | sed 's/^/    /'
    } >&2
    exit 1
}

# halt NAME: asks the daemon to end, then makes it, then takes what it left.
halt() {
    local name=$1 pid end left
    if running "$name"; then
        pid=$(pid_of "$name")
        kill -TERM "$pid" 2>/dev/null || true
        end=$((SECONDS + 20))
        while running "$name" && ((SECONDS < end)); do
            sleep 0.1
        done
    fi
    # Twice: one look may miss a process in the middle of an execve.
    for end in 1 2; do
        left=$(family "$name")
        # shellcheck disable=SC2086 # a list of pids
        if [[ -n $left ]]; then
            kill -KILL $left 2>/dev/null || true
        fi
        sleep 0.05
    done
    rm -f "$RUN/$name.pid" "$RUN/$name.born" "$RUN/$name.stamp"
}

http() { # http CODE URL: does URL answer with CODE?
    [[ $(curl -s -m 10 -o /dev/null -w '%{http_code}' "$2") == "$1" ]]
}
