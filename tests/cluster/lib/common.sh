# shellcheck shell=bash disable=SC2034
# What all scripts here share: names, addresses, folders. Sourced.

readonly cluster_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }
die() {
    say "tests/cluster/$(basename "$0"): $*"
    exit 2
}

# ---- which cluster --------------------------------------------------------------------------------------------------
# Clusters in different slots run side by side on one machine: other addresses, ports, names and folders.
readonly slot=${BACKUPMX_CLUSTER_SLOT:-0}
[[ $slot =~ ^([0-9]|1[0-5])$ ]] || die "BACKUPMX_CLUSTER_SLOT is '$slot'; it must be a number from 0 to 15"
readonly cluster_name=bmx$slot

# 10.88.N.0/20, N being 16 times the slot:
#   10.88.N.0/24        the bridge: this machine is .1, node 1 is .2, node 2 is .3 and so on
#   10.88.(N+3+M).0/24  the pods of node M
#   10.88.(N+8).0/21    for load balancers: what a test writes into a Service's status is reachable from this machine
readonly first_octet=$((slot * 16))
readonly most_nodes=4
readonly pods_network=10.88.$((first_octet + 4)).0/22
readonly service_network=10.96.$first_octet.0/20
readonly api_service_address=10.96.$first_octet.1
readonly load_balancer_network=10.88.$((first_octet + 8)).0/21
readonly host_address=10.88.$first_octet.1
readonly test_dns_port=5300
readonly zones_address=10.88.$first_octet.53
node_address() { echo "10.88.$first_octet.$(($1 + 1))"; }
node_pods() { echo "10.88.$((first_octet + 3 + $1)).0/24"; }

readonly api_port=$((16440 + slot))
readonly etcd_port=$((16480 + slot))
readonly etcd_peer_port=$((16520 + slot))
readonly zones_api_port=$((16560 + slot))
readonly external_dns_port=$((16600 + slot))

# How external-dns marks the records that are its own.
readonly external_dns_owner=backupmx-test external_dns_prefix=_extdns-%{record_type}.

# ---- folders --------------------------------------------------------------------------------------------------------
readonly cache=${XDG_CACHE_HOME:-$HOME/.cache}/backupmx/cluster
readonly state=${XDG_STATE_HOME:-$HOME/.local/state}/backupmx/cluster
readonly run=$state/$cluster_name
readonly kubeconfig=$run/admin.kubeconfig

# The pinned versions' key: a folder of the cache.
pins_key() { (cd "$cluster_folder" && cat pins $(find modules -type f | LC_ALL=C sort) | sha256sum | cut -c 1-16); }
built=$cache/$(pins_key)
readonly built
# The control plane's programs may come from elsewhere, as envtest has it.
readonly assets=${KUBEBUILDER_ASSETS:-}
export PATH=${assets:+$assets:}$built/bin:$PATH

# Whether KUBECONFIG names a cluster that is not ours: then there is nothing to build, start or stop.
foreign_cluster() { [[ -n ${KUBECONFIG:-} && $KUBECONFIG != "$state"/*/admin.kubeconfig ]]; }

# What tests add to a cluster that is not ours, beside namespaces: the definitions that bear this label, with the slot.
readonly definition_label=backupmx.test/slot

admin() { kubectl --kubeconfig "$kubeconfig" --cache-dir "$run/kubectl-cache" "$@"; }

# wait_for WHAT SECONDS COMMAND...: until the command succeeds.
wait_for() {
    local what=$1 limit=$2 start=$SECONDS
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS - start >= limit)); then
            say "waited $limit s for $what"
            return 1
        fi
        sleep 0.2
    done
}

# The lock of this slot, held by this script until it ends. The programs that it starts must not inherit it.
lock_slot() {
    mkdir -p "$state"
    exec 9>"$state/$cluster_name.lock"
    flock --nonblock 9 || { say "waiting for another up or down of slot $slot"; flock 9; }
}
