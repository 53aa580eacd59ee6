# shellcheck shell=bash
# Container images of static programs, without any tool that makes images.

# make_image ARCHIVE NAME PROGRAM...: an image of nothing but these programs, in its root folder, as `docker save` would
# write it. It runs the first one, as a user without rights.
make_image() {
    local archive=$1 name=$2 work layer
    local tar=(tar --owner=0 --group=0 --numeric-owner --mtime=@0 --sort=name)
    shift 2
    work=$(mktemp -d "$archive.XXXXXX")
    mkdir "$work/layer"
    cp "$@" "$work/layer/"
    "${tar[@]}" -C "$work/layer" -cf "$work/layer.tar" .
    layer=$(sha256sum "$work/layer.tar" | cut -d ' ' -f 1)
    cat >"$work/config.json" <<JSON
{"architecture": "$(go_architecture)", "os": "linux",
 "config": {"User": "65535:65535", "Entrypoint": ["/$(basename "$1")"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$layer"]}}
JSON
    printf '[{"Config": "config.json", "RepoTags": ["%s"], "Layers": ["layer.tar"]}]\n' "$name" >"$work/manifest.json"
    "${tar[@]}" -C "$work" -cf "$archive" manifest.json config.json layer.tar
    rm -rf "$work"
}

# This machine's architecture as Go and container images call it.
go_architecture() {
    case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) uname -m ;;
    esac
}
