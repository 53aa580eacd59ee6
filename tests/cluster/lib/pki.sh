# shellcheck shell=bash
# The cluster's certificates, made anew for each run. A month is longer than any run.

make_authority() {
    mkdir -p "$run/pki"
    (
        umask 077
        new_key "$run/pki/ca.key"
        new_key "$run/pki/service-account.key"
    )
    openssl pkey -in "$run/pki/service-account.key" -pubout -out "$run/pki/service-account.pub"
    quietly openssl req -x509 -new -key "$run/pki/ca.key" -out "$run/pki/ca.crt" -subj "/CN=$cluster_name" -days 30
}

# certificate NAME SUBJECT [ALTERNATIVE_NAMES]
certificate() {
    # With an extension at least: a certificate without one is of version 1, which rustls does not take.
    local base=$run/pki/$1 extensions=(-addext extendedKeyUsage=serverAuth,clientAuth)
    if [[ -n ${3:-} ]]; then extensions+=(-addext "subjectAltName=$3"); fi
    (umask 077 && new_key "$base.key")
    quietly openssl req -new -key "$base.key" -subj "$2" "${extensions[@]}" -out "$base.csr"
    quietly openssl x509 -req -in "$base.csr" -CA "$run/pki/ca.crt" -CAkey "$run/pki/ca.key" -days 30 \
        -copy_extensions copy -out "$base.crt"
}

# client NAME SUBJECT: a certificate, and a kubeconfig that uses it. The certificates are in it, so that it can be
# copied.
client() {
    local file=$run/$1.kubeconfig
    certificate "$1" "$2"
    (
        umask 077
        cat >"$file" <<YAML
apiVersion: v1
kind: Config
clusters:
- name: $cluster_name
  cluster: {server: "$api_url", certificate-authority-data: $(base64 -w 0 "$run/pki/ca.crt")}
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w 0 "$run/pki/$1.crt")
    client-key-data: $(base64 -w 0 "$run/pki/$1.key")
contexts:
- name: $cluster_name
  context: {cluster: $cluster_name, user: $1}
current-context: $cluster_name
YAML
    )
}

new_key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1"; }

# openssl reports its progress on stderr; it is of interest only when it fails.
quietly() {
    local output
    output=$("$@" 2>&1) || { say "$output"; return 1; }
}
