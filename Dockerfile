# The images of BackupMX, a program and nothing else in each: no shell, no libraries, no user but a number.
#
#   docker build --target operator -t REGISTRY/backupmx-operator:TAG .
#   docker build --target relay    -t REGISTRY/backupmx-relay:TAG .
#
# What the last two stages take is /out of the stage `build`. `--build-context build=FOLDER` puts a folder in that
# stage's place, so that programs that are compiled already become images in seconds (tests/cluster/images does so).

ARG RUST=1.95
FROM docker.io/library/rust:${RUST}-bookworm AS build
WORKDIR /src
COPY . .
# One static program each: glibc is linked in. The flag is for the target only, as build scripts and macros must stay
# dynamic, and that is what naming a target does, even where it is this machine's own.
# The caches outlive a checkout, and cargo compares times: a source that is older than what was compiled of another
# checkout would pass for compiled. So all of ours are new, and only the crates that they need come from the cache.
RUN --mount=type=cache,id=backupmx-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=backupmx-target,target=/src/target,sharing=locked \
    set -eu; \
    find . -path ./target -prune -o -type f -exec touch {} +; \
    target=$(rustc -vV | sed -n 's/^host: //p'); \
    RUSTFLAGS='-C target-feature=+crt-static -C strip=symbols' \
        cargo build --locked --release --target "$target" -p backupmx-operator -p backupmx-relay; \
    for name in operator relay; do \
        install -D -t /out/$name/usr/bin "target/$target/release/backupmx-$name"; \
    done; \
    install -D -m 644 -t /out/relay/etc/ssl/certs /etc/ssl/certs/ca-certificates.crt; \
    mkdir -p /out/relay/var/lib /out/state/backupmx

FROM scratch AS operator
LABEL org.opencontainers.image.title="BackupMX operator" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/operator/ /
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/bin/backupmx-operator"]

# The certificates are for a primary with `tls.mode: Verify`. The folder of held mail belongs to the program's user, and a
# volume that is mounted there by `docker run` inherits that; XDG_STATE_HOME makes it the default of every command.
FROM scratch AS relay
LABEL org.opencontainers.image.title="BackupMX relay" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/relay/ /
COPY --from=build --chown=65532:65532 /out/state/ /var/lib/
ENV XDG_STATE_HOME=/var/lib
USER 65532:65532
EXPOSE 2525
ENTRYPOINT ["/usr/bin/backupmx-relay"]
