# shellcheck shell=bash
# Programs that outlive the script that starts them: started, found again and stopped by what is recorded of them.
# Each has a folder in $run/process with `pid` (the process id and its start time, since ids are used again), `command`
# (to start it again) and a log in $run/log.

# The moment in which a process started, in clock ticks since boot; fails where there is no such process, or only its
# remains.
start_time() { # PID
    local stat fields
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    # The second field is the program's name in parentheses, and may hold anything.
    read -ra fields <<<"${stat##*) }"
    # While a thread is left (field 20) a killed process still has its ports, though its state (field 3) is Z.
    [[ ${fields[0]} != Z || ${fields[17]} -gt 1 ]] && echo "${fields[19]}"
}

# The id of a recorded process that still runs.
pid_of() { # NAME
    local pid since
    read -r pid since 2>/dev/null <"$run/process/$1/pid" || return 1
    [[ $(start_time "$pid") == "$since" ]] && echo "$pid"
}

# start NAME COMMAND...: in the background, in a session of its own.
start() {
    local name=$1
    shift
    mkdir -p "$run/process/$name" "$run/log"
    printf '%q ' "$@" >"$run/process/$name/command"
    (
        join_daemons_group
        exec setsid "$@"
    ) >>"$run/log/$name.log" 2>&1 </dev/null 9>&- &
    echo "$! $(start_time $!)" >"$run/process/$name/pid"
    disown
}

start_again() { # NAME
    local command
    command=$(<"$run/process/$1/command")
    eval "start $(printf %q "$1") $command"
}

# Politely, then for good.
stop() { # NAME
    local pid
    pid=$(pid_of "$1") || return 0
    kill "$pid" 2>/dev/null || true
    wait_for "$1 to stop" 10 gone "$1" || stop_at_once "$1"
}
stop_at_once() { # NAME
    local pid
    pid=$(pid_of "$1") || return 0
    kill -KILL "$pid" 2>/dev/null || true
    wait_for "$1 to be killed" 10 gone "$1"
}
gone() { ! pid_of "$1" >/dev/null; }

wait_for_api() {
    wait_for "the API server" 60 answers_or_ended || return 1
    gone kube-apiserver || return 0
    say "the API server has ended"
    return 1
}
answers_or_ended() { gone kube-apiserver || admin get --raw /readyz; }

recorded_processes() { (cd "$run/process" 2>/dev/null && ls) || true; }

# Whether this slot's cluster has been started and not been taken down. After a reboot its folder is all that is there.
is_up() {
    local name
    [[ -e $run/ready ]] || return 1
    for name in $(recorded_processes); do
        if pid_of "$name" >/dev/null; then return 0; fi
    done
    return 1
}

# ---- control groups -------------------------------------------------------------------------------------------------
# All processes of a cluster with nodes, those of its pods too, are in control groups below /backupmx-bmxSLOT. So
# `down` finds each of them, even where the runtime that knew them has died.
readonly group=backupmx-$cluster_name

# The hierarchies of version 1, or the one of version 2.
hierarchies() { awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts | grep '^/sys/fs/cgroup' | sort -u; }

make_group() { # GROUP
    local hierarchy folder part controller file
    for hierarchy in $(hierarchies); do
        folder=$hierarchy
        for part in ${1//\// }; do
            # Version 2 hands each controller down where it is told to.
            if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
                for controller in $(<"$folder/cgroup.controllers"); do
                    echo "+$controller" 2>/dev/null >"$folder/cgroup.subtree_control" || true
                done
            fi
            mkdir -p "$folder/$part"
            # A new group of version 1 has no processors until it is told which.
            for file in cpuset.cpus cpuset.mems; do
                if [[ -e $folder/$part/$file && -z $(<"$folder/$part/$file") && -e $folder/$file ]]; then
                    cat "$folder/$file" >"$folder/$part/$file" 2>/dev/null || true
                fi
            done
            folder+=/$part
        done
    done
}

join_daemons_group() {
    local hierarchy
    [[ -e $run/grouped ]] || return 0
    for hierarchy in $(hierarchies); do echo "$BASHPID" >"$hierarchy/$group/daemons/cgroup.procs"; done
}

# All processes below a group.
group_processes() { # GROUP
    local hierarchy
    for hierarchy in $(hierarchies); do
        [[ -d $hierarchy/$1 ]] && find "$hierarchy/$1" -name cgroup.procs -exec cat {} + 2>/dev/null
    done | sort -un
}

kill_group() { # GROUP
    local round pids
    for round in {1..100}; do
        mapfile -t pids < <(group_processes "$1")
        [[ ${#pids[@]} -gt 0 ]] || return 0
        kill -KILL "${pids[@]}" 2>/dev/null || true
        sleep 0.1
    done
    say "processes that can't be killed ($round rounds): ${pids[*]}"
    return 1
}

remove_group() { # GROUP
    local hierarchy
    for hierarchy in $(hierarchies); do
        [[ -d $hierarchy/$1 ]] || continue
        wait_for "the control groups in $hierarchy/$1 to be free" 5 remove_folders "$hierarchy/$1" || true
    done
}
remove_folders() { [[ ! -d $1 ]] || find "$1" -depth -type d -exec rmdir {} +; }
