//! The asking, against real name servers: a resolver that knows where the zones are, and two servers of example.org.

mod asking;
mod beside;
pub(crate) mod seen;
mod server;

use std::net::SocketAddr;

use self::server::{Server, network};
use super::{
    authority::Authority,
    lookup::Lookup,
    ownership::{ExternalDns, Registry},
};

/// The zone as both of its servers have it.
const ZONE: &str = "\
example.org. 300 IN NS ns1.example.org.
example.org. 300 IN NS ns2.example.org.
example.org. 300 IN MX 10 mail.example.org.
example.org. 300 IN MX 20 mx1.backup.example.net.
_extdns-mx.example.org. 300 IN TXT \"heritage=external-dns,external-dns/owner=bmx\"
alias.example.org. 300 IN CNAME mail.example.org.
mail.example.org. 300 IN A 192.0.2.1
mail.example.org. 300 IN AAAA 2001:db8::1
bare.example.org. 300 IN TXT \"no address\"
*.wild.example.org. 300 IN MX 10 mail.example.org.
lb.example.org. 60 IN CNAME lb-1.example.org.
lb-1.example.org. 60 IN A 198.51.100.7
";

/// A resolver and the two servers of example.org.
struct Dns {
    resolver: Server,
    one: Server,
    two: Server,
    lookup: Lookup,
}

impl Dns {
    async fn start() -> Self {
        let net = network();
        let one = Server::start(SocketAddr::new(net(1), 0), &[("example.org.", ZONE)]).await;
        let port = one.address.port();
        let two = Server::start(SocketAddr::new(net(2), port), &[("example.org.", ZONE)]).await;
        // What a resolver has in its cache may be old: its MX records must not count.
        let cached = format!(
            "example.org. 300 IN NS ns1.example.org.\nexample.org. 300 IN NS ns2.example.org.\n\
             ns1.example.org. 300 IN A {}\nns2.example.org. 300 IN A {}\n\
             example.org. 300 IN MX 10 old.example.org.\nwww.example.org. 300 IN A 192.0.2.80\n\
             lb.example.org. 60 IN CNAME lb-1.example.org.\nlb-1.example.org. 60 IN A 198.51.100.7\n",
            net(1),
            net(2)
        );
        let zones = [("example.org.", cached.as_str()), (".", ". 60 IN NS ns.test.")];
        let resolver = Server::start(SocketAddr::new(net(3), 0), &zones).await;
        let lookup = asking(Authority::with(Vec::new(), vec![resolver.address], port));
        Self { resolver, one, two, lookup }
    }
}

fn asking(authority: Authority) -> Lookup {
    let external_dns =
        ExternalDns { registry: Registry::Txt, owner_id: "bmx".into(), prefix: "_extdns-%{record_type}.".into() };
    Lookup { authority, external_dns }
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}
