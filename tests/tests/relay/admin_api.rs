//! Over TCP the admin API wants its token; the Unix socket is its owner's alone.

use std::os::unix::fs::PermissionsExt;

use backupmx_tests::{Admin, Config, Place, Relay};

#[test]
fn the_token_is_needed() {
    let place = Place::new();
    let hash = backupmx_tests::python("import hashlib; print(hashlib.sha256(b'let me in').hexdigest())", &[]);
    let config = Config::new(&place)
        .set("/admin/api/address", place.api().to_string())
        .set("/admin/api/tokenSha256", hash.out.trim());
    let relay = Relay::start(&place, config);
    let api = Admin::tcp(place.api());
    for path in ["/v1/status", "/v1/queue", "/v1/config", "/nowhere"] {
        assert_eq!(api.get(path).unwrap().status, 401, "{path}");
        assert_eq!(api.clone().with_token("let me out").get(path).unwrap().status, 401, "{path}");
    }
    let known = api.with_token("let me in");
    assert_eq!(known.get("/v1/status").unwrap().status, 200);
    assert_eq!(known.get("/nowhere").unwrap().status, 404);
    assert_eq!(relay.admin().get("/v1/status").unwrap().status, 200);
}

#[test]
fn the_socket_is_private() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let about = std::fs::metadata(relay.config().spool().join("control.sock")).unwrap();
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
}
