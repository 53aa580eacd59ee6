# shellcheck shell=bash
# Takes down whatever there is of this slot's cluster: a whole one, or what a run that died has left.

clean() {
    local name node left=0
    [[ ! -e $run/grouped ]] || stop_pods
    # The API server after those that write to it, etcd last.
    for name in $(recorded_processes | grep -v -e '^kube-apiserver$' -e '^etcd$') kube-apiserver etcd; do
        stop "$name" || left=1
    done
    [[ ! -e $run/grouped ]] || kill_group "$group" || left=1
    unmount_all
    if [[ -e $run/grouped ]]; then
        for node in $(ip netns list | awk -v prefix="$cluster_name-node" 'index($1, prefix) == 1 { print $1 }'); do
            ip netns delete "$node" || left=1
        done
        # The links of the nodes and all routes go with it.
        if [[ -e /sys/class/net/$cluster_name ]]; then ip link delete "$cluster_name" || left=1; fi
        remove_group "$group" || left=1
        restore_settings
        remove_traces
    fi
    [[ $left -eq 0 ]] || return 1
    # The logs stay until the next run: they say why a run died.
    if [[ -d $run ]]; then find "$run" -mindepth 1 -maxdepth 1 ! -name log -exec rm -rf --one-file-system {} +; fi
}

# Asks the runtimes to end their pods, which leaves less to clear away. Where that fails, the rest of `clean` does it.
stop_pods() {
    local name folder node tasks containers id
    # A kubelet would start them again.
    for name in $(recorded_processes | grep -E '^(kubelet|kube-proxy|kube-controller-manager|kube-scheduler)'); do
        stop "$name" || true
    done
    for folder in "$run"/node*/; do
        node=${folder%/}
        node=${node##*/node}
        pid_of "containerd$node" >/dev/null || continue
        mapfile -t tasks < <(on_node "$node" tasks list --quiet 2>/dev/null)
        for id in "${tasks[@]}"; do on_node "$node" tasks kill --signal KILL "$id" >/dev/null 2>&1 || true; done
        for id in "${tasks[@]}"; do on_node "$node" tasks delete --force "$id" >/dev/null 2>&1 || true; done
        mapfile -t containers < <(on_node "$node" containers list --quiet 2>/dev/null)
        [[ ${#containers[@]} -gt 0 ]] || continue
        on_node "$node" containers delete "${containers[@]}" >/dev/null 2>&1 || true
    done
}

# Mounts below the run's folder, the innermost first, and the loop devices that tests made of files in it.
unmount_all() {
    local point device
    while read -r point; do
        umount --lazy "$(printf '%b' "$point")" || true
    done < <(awk -v below="$run/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | tac)
    while read -r device; do
        losetup --detach "$device" || true
    done < <(
        losetup --list --noheadings --output NAME,BACK-FILE 2>/dev/null |
            awk -v below="$run/" 'index($2, below) == 1 { print $1 }'
    )
}

# What the runtime and the kubelet leave in folders of the machine that can't be told to them.
remove_traces() {
    local file id
    # The sockets of the runtime's shims, of which each pod's folder names its own.
    while read -r file; do rm -f "$file"; done < <(
        cat "$run"/node*/containerd/state/io.containerd.runtime.v2.task/k8s.io/*/bootstrap.json 2>/dev/null |
            grep -o 'unix:///run/containerd/s/[0-9a-f]*' | sed 's,^unix://,,' || true
    )
    for file in /var/lib/cni/results/"$cluster_name"-node*; do
        [[ -e $file ]] || continue
        id=${file#*-node?-}
        id=${id%-*}
        rm -f "$file" /var/lib/cni/results/cni-loopback-"$id"-*
    done
    for file in /var/log/containers/*.log; do
        if [[ $(readlink "$file") == "$run"/* ]]; then rm -f "$file"; fi
    done
    # A kubelet of the machine itself would listen in this network namespace; ours never do.
    grep -q /var/lib/kubelet/device-plugins/kubelet.sock /proc/net/unix ||
        rm -f /var/lib/kubelet/device-plugins/kubelet.sock
    # Only where they are empty.
    rmdir --parents --ignore-fail-on-non-empty /run/containerd/s /var/lib/cni/results /var/log/containers \
        /var/lib/kubelet/device-plugins 2>/dev/null || true
}
