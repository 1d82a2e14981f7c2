# Stands before the blocks of a page: one bash session, as a reader has it, that ends at the first command that fails.
# Not `set -e`, which would end at a verdict of the drift job, too.
set -Euo pipefail

declare -A servers=()

# Exit codes 3 (drift) and 4 (not enough data) of the drift job and of retraining are verdicts, not errors.
failed() {
    case "$1 $2" in
        "3 "*drift* | "4 "*drift* | "4 "*retrain*) echo "(exit code $1: a verdict)" ;;
        *) echo "FAILED with exit code $1: $2"; exit "$1" ;;
    esac
}

listens() {
    (: < "/dev/tcp/127.0.0.1/$1") 2> /dev/null
}

# in_own_terminal FILE PORT: run a block until the page ends, or until another one needs its port.
in_own_terminal() {
    end_server "$2"
    if listens "$2"; then echo "FAILED: port $2 is taken by another program"; exit 1; fi
    setsid bash -Euo pipefail "$1" > "$1.log" 2>&1 < /dev/null &
    servers[$2]=$!
    for _ in {1..900}; do
        if listens "$2"; then return; fi
        if ! kill -0 "${servers[$2]}" 2> /dev/null; then break; fi
        sleep 0.1
    done
    echo "FAILED: nothing listens on port $2:"; tail -n 30 "$1.log"; exit 1
}

end_server() {
    [[ -n "${servers[$1]:-}" ]] || return 0
    kill -- "-${servers[$1]}" 2> /dev/null || true
    for _ in {1..300}; do
        if ! kill -0 -- "-${servers[$1]}" 2> /dev/null; then break; fi
        sleep 0.1
    done
    kill -KILL -- "-${servers[$1]}" 2> /dev/null || true
    wait "${servers[$1]}" 2> /dev/null || true
    unset "servers[$1]"
}

end_servers() {
    local port
    for port in "${!servers[@]}"; do end_server "$port"; done
}

trap end_servers EXIT
trap 'failed $? "$BASH_COMMAND"' ERR
