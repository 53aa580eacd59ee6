# shellcheck shell=bash
# etcd and the API server; controllers, scheduler, DNS and storage for a cluster with nodes.

start_api() {
    # On an address that pods reach, or without any: an endpoint must not be on loopback.
    local reach=(--endpoint-reconciler-type none)
    if [[ $api_address != 127.* ]]; then reach=(--advertise-address "$api_address"); fi
    start etcd etcd --name "$cluster_name" --data-dir "$run/etcd" --unsafe-no-fsync --log-level warn \
        --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
        --listen-peer-urls "http://127.0.0.1:$etcd_peer_port" \
        --initial-advertise-peer-urls "http://127.0.0.1:$etcd_peer_port" \
        --initial-cluster "$cluster_name=http://127.0.0.1:$etcd_peer_port"
    local names=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
    names+=,DNS:kubernetes.default.svc.cluster.local
    certificate api-server /CN=kube-apiserver "$names,IP:127.0.0.1,IP:$api_address,IP:$api_service_address"
    certificate kubelet-client /O=system:masters/CN=kube-apiserver
    start kube-apiserver kube-apiserver --etcd-servers "http://127.0.0.1:$etcd_port" \
        --bind-address "$api_address" --secure-port "$api_port" "${reach[@]}" \
        --service-cluster-ip-range "$service_network" --authorization-mode Node,RBAC \
        --enable-admission-plugins NodeRestriction --allow-privileged \
        --tls-cert-file "$run/pki/api-server.crt" --tls-private-key-file "$run/pki/api-server.key" \
        --client-ca-file "$run/pki/ca.crt" \
        --kubelet-preferred-address-types InternalIP --kubelet-client-certificate "$run/pki/kubelet-client.crt" \
        --kubelet-client-key "$run/pki/kubelet-client.key" \
        --service-account-issuer https://kubernetes.default.svc \
        --service-account-key-file "$run/pki/service-account.pub" \
        --service-account-signing-key-file "$run/pki/service-account.key"
    wait_for_api
}

start_controllers() {
    client kube-controller-manager /CN=system:kube-controller-manager
    client kube-scheduler /CN=system:kube-scheduler
    # No port: nobody asks, and clusters side by side would want the same one.
    start kube-controller-manager kube-controller-manager --kubeconfig "$run/kube-controller-manager.kubeconfig" \
        --secure-port 0 --leader-elect=false --use-service-account-credentials \
        --service-account-private-key-file "$run/pki/service-account.key" --root-ca-file "$run/pki/ca.crt" \
        --cluster-signing-cert-file "$run/pki/ca.crt" --cluster-signing-key-file "$run/pki/ca.key"
    start kube-scheduler kube-scheduler --kubeconfig "$run/kube-scheduler.kubeconfig" \
        --secure-port 0 --leader-elect=false
}

# CoreDNS for the pods, on this machine's address of the bridge. What is not of the cluster it asks of the test's own
# DNS server, on port $test_dns_port of the same address, and of nobody else: no test depends on a name outside.
start_dns() {
    client coredns /CN=system:coredns
    admin apply -f - >/dev/null <<'YAML'
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: system:coredns}
rules:
- {apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: system:coredns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:coredns}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: system:coredns}]
YAML
    cat >"$run/Corefile" <<COREFILE
. {
    bind $host_address
    errors
    reload 2s 1s
    cache 1
    kubernetes cluster.local in-addr.arpa {
        kubeconfig $run/coredns.kubeconfig
        fallthrough in-addr.arpa
    }
    forward . $host_address:$test_dns_port
}
COREFILE
    start coredns coredns -conf "$run/Corefile"
}

# Storage of two classes: `standard`, the default, whose volumes grow, and `fixed`, whose volumes do not. A volume is
# made when the first pod needs it.
start_volumes() {
    client volumes /O=system:masters/CN=volumes
    admin apply -f - >/dev/null <<'YAML'
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: volumes.backupmx.test
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fixed}
provisioner: volumes.backupmx.test
volumeBindingMode: WaitForFirstConsumer
YAML
    start volumes "$cluster_folder/lib/volumes"
}
