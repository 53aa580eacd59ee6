# shellcheck shell=bash
# Nodes. Each is a network namespace on the run's bridge with a containerd, a kubelet and a kube-proxy of its own, so no
# rule, route or network setting of this machine is touched: they go when the namespace goes.

readonly bridge=$cluster_name

namespace() { echo "$cluster_name-node$1"; }
inside() { # NODE COMMAND...: only the network is the node's.
    local node=$1
    shift
    nsenter --net="/run/netns/$(namespace "$node")" "$@"
}

make_bridge() {
    ip link add "$bridge" type bridge
    ip address add "$host_address/24" dev "$bridge"
    ip link set "$bridge" up
}

connect_node() { # NODE
    local node=$1 link=$cluster_name-n$1 other
    ip netns add "$(namespace "$node")"
    ip link add "$link" type veth peer name eth0 netns "$(namespace "$node")"
    ip link set "$link" master "$bridge" up
    inside "$node" ip link set lo up
    inside "$node" ip address add "$(node_address "$node")/24" dev eth0
    inside "$node" ip link set eth0 up
    inside "$node" sysctl -q -w net.ipv4.ip_forward=1
    # The node's own connections to a service need some route before a rule of kube-proxy can turn them elsewhere.
    # There is no default route: nothing in the cluster reaches for the world.
    inside "$node" ip route add "$service_network" dev eth0
    inside "$node" ip route add "$load_balancer_network" dev eth0
    for ((other = 1; other <= nodes; other++)); do
        [[ $other -eq $node ]] || inside "$node" ip route add "$(node_pods "$other")" via "$(node_address "$other")"
    done
    ip route add "$(node_pods "$node")" via "$(node_address "$node")"
}

# This machine stands outside the cluster, and sends to services and load balancers as the next router would.
route_services() {
    ip route add "$service_network" via "$(node_address 1)"
    ip route add "$load_balancer_network" via "$(node_address 1)"
}

start_runtime() { # NODE
    local node=$1 folder=$run/node$1 snapshotter=overlayfs
    mkdir -p "$folder"/{cni,containerd}
    # One overlay on another works in few kernels.
    if [[ $(stat -f -c %T "$folder") == overlayfs ]]; then snapshotter=native; fi
    cat >"$folder/cni/pods.conflist" <<JSON
{"cniVersion": "1.0.0", "name": "$(namespace "$node")", "plugins": [
  {"type": "ptp", "mtu": 1500, "ipMasq": false,
   "ipam": {"type": "host-local", "dataDir": "$folder/cni/addresses",
            "ranges": [[{"subnet": "$(node_pods "$node")"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
    # The machine may lack CAP_SYS_RESOURCE; without restrict_oom_score_adj each pod would then die at its start.
    cat >"$folder/containerd.toml" <<TOML
version = 3
root = "$folder/containerd/root"
state = "$folder/containerd/state"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "$folder/containerd.sock"
[plugins.'io.containerd.internal.v1.opt']
  path = "$folder/containerd/opt"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "$snapshotter"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "localhost/pause:1"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "$folder/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  Root = "$folder/containerd/runc"
TOML
    start "containerd$node" nsenter --net="/run/netns/$(namespace "$node")" containerd \
        --config "$folder/containerd.toml"
}

on_node() { # NODE ARGUMENTS_OF_CTR...
    local node=$1
    shift
    ctr --address "$run/node$node/containerd.sock" --namespace k8s.io "$@"
}

start_kubelet() { # NODE
    local node=$1 folder=$run/node$1
    wait_for "containerd of node $node" 30 on_node "$node" version
    quietly on_node "$node" images import "$built/bin/pause.tar"
    client "kubelet$node" "/O=system:nodes/CN=system:node:node$node"
    certificate "node$node" "/CN=node$node" "DNS:node$node,IP:$(node_address "$node")"
    make_group "$group/node$node"
    echo "nameserver $host_address" >"$folder/resolv.conf"
    cat >"$folder/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $(node_address "$node")
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $run/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $run/pki/node$node.crt
tlsPrivateKeyFile: $run/pki/node$node.key
clusterDNS: [$host_address]
clusterDomain: cluster.local
resolvConf: $folder/resolv.conf
containerRuntimeEndpoint: unix://$folder/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$group/node$node
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
podLogsDir: $folder/pod-logs
volumePluginDir: $folder/volume-plugins
# A machine for tests is often full, which is no reason to refuse pods.
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
# What was loaded stays: it can't be pulled again.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
YAML
    start "kubelet$node" nsenter --net="/run/netns/$(namespace "$node")" kubelet --config "$folder/kubelet.yaml" \
        --kubeconfig "$run/kubelet$node.kubeconfig" --hostname-override "node$node" \
        --node-ip "$(node_address "$node")" --root-dir "$folder/kubelet" --cert-dir "$folder/certificates" \
        --node-labels "topology.kubernetes.io/zone=zone$node"
}

start_proxy() { # NODE
    local node=$1
    # Limits of connection tracking belong to the whole machine.
    cat >"$run/node$node/kube-proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: $pods_network
hostnameOverride: node$node
bindAddress: 0.0.0.0
oomScoreAdj: 0
clientConnection: {kubeconfig: $run/kube-proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
    start "kube-proxy$node" nsenter --net="/run/netns/$(namespace "$node")" kube-proxy \
        --config "$run/node$node/kube-proxy.yaml"
}

# ---- settings of the kernel that a kubelet changes ------------------------------------------------------------------
readonly kubelet_settings=(vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes)

save_settings() {
    local setting
    for setting in "${kubelet_settings[@]}"; do
        if [[ -r /proc/sys/$setting ]]; then echo "$setting $(<"/proc/sys/$setting")"; fi
    done >"$run/settings"
}

restore_settings() {
    local setting value
    while read -r setting value; do
        [[ $(<"/proc/sys/$setting") == "$value" ]] || echo "$value" >"/proc/sys/$setting" || true
    done 2>/dev/null <"$run/settings" || true
}
