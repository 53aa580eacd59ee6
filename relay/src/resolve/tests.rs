//! Look-ups against a name server on loopback.

use backupmx_relay_config::Host;

use super::{
    MxAnswer, ResolveError,
    fake::{Dns, Zone, address, cname, mx, ptr},
};

fn host(name: &str) -> Host {
    name.parse().unwrap()
}

#[tokio::test]
async fn addresses_are_found_through_aliases() {
    let dns = Dns::serve(vec![
        ("mail.example.org", Zone::Records(vec![address("192.0.2.1"), address("2001:db8::1"), address("192.0.2.2")])),
        ("alias.example.org", Zone::Records(vec![cname("mail.example.org.")])),
        ("six.example.org", Zone::Records(vec![address("2001:db8::6")])),
    ])
    .await;
    let resolver = dns.resolver();
    let all: Vec<std::net::IpAddr> =
        vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    for name in ["mail.example.org", "alias.example.org"] {
        let mut found = resolver.addresses(&host(name)).await.unwrap();
        found.sort();
        assert_eq!(found, all, "{name}");
    }
    assert_eq!(resolver.addresses(&host("six.example.org")).await, Ok(vec!["2001:db8::6".parse().unwrap()]));
    assert_eq!(resolver.addresses(&host("192.0.2.9")).await, Ok(vec!["192.0.2.9".parse().unwrap()]));
}

#[tokio::test]
async fn no_and_not_now_are_told_apart() {
    let dns = Dns::serve(vec![
        ("text.example.org", Zone::Records(vec![mx(10, "mail.example.org.")])),
        ("broken.example.org", Zone::Broken),
        ("silent.example.org", Zone::Silent),
    ])
    .await;
    let resolver = dns.resolver();
    let name = |text: &str| text.parse::<backupmx_relay_config::DomainName>().unwrap();
    assert_eq!(
        resolver.addresses(&host("nowhere.example.org")).await,
        Err(ResolveError::NotFound(name("nowhere.example.org")))
    );
    assert_eq!(
        resolver.addresses(&host("text.example.org")).await,
        Err(ResolveError::NoAddress(name("text.example.org")))
    );
    assert_eq!(
        resolver.mx(&name("nowhere.example.org")).await,
        Err(ResolveError::NotFound(name("nowhere.example.org")))
    );
    let (broken, silent, broken_mx) = tokio::join!(
        async { resolver.addresses(&host("broken.example.org")).await },
        async { resolver.addresses(&host("silent.example.org")).await },
        async { resolver.mx(&name("broken.example.org")).await.map(|_| Vec::new()) },
    );
    for result in [broken, silent, broken_mx] {
        assert!(matches!(result, Err(ResolveError::Temporary { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn mail_exchangers_are_explicit_implicit_or_null() {
    let dns = Dns::serve(vec![
        ("two.example.org", Zone::Records(vec![mx(20, "b.example.org."), mx(10, "a.example.org.")])),
        ("none.example.org", Zone::Records(vec![address("192.0.2.1")])),
        ("null.example.org", Zone::Records(vec![mx(0, ".")])),
    ])
    .await;
    let resolver = dns.resolver();
    let ask = async |name: &str| resolver.mx(&name.parse().unwrap()).await.unwrap();
    assert_eq!(
        ask("two.example.org").await,
        MxAnswer::Hosts(vec!["a.example.org".parse().unwrap(), "b.example.org".parse().unwrap()])
    );
    assert_eq!(ask("none.example.org").await, MxAnswer::Implicit("none.example.org".parse().unwrap()));
    assert_eq!(ask("null.example.org").await, MxAnswer::Null);
}

#[tokio::test]
async fn an_address_has_names_or_none() {
    let dns = Dns::serve(vec![
        (
            "1.2.0.192.in-addr.arpa",
            Zone::Records(vec![ptr("a.example.org."), ptr("192.0.2.1."), ptr("B.example.org.")]),
        ),
        ("2.2.0.192.in-addr.arpa", Zone::Records(vec![cname("2.0.2.0.192.in-addr.arpa.")])),
        ("2.0.2.0.192.in-addr.arpa", Zone::Records(vec![ptr("c.example.org.")])),
        ("3.2.0.192.in-addr.arpa", Zone::Records(vec![mx(10, "a.example.org.")])),
        ("4.2.0.192.in-addr.arpa", Zone::Broken),
        (
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
            Zone::Records(vec![ptr("six.test.")]),
        ),
    ])
    .await;
    let resolver = dns.resolver();
    let ask = async |address: &str, limit| {
        let names = resolver.names(address.parse().unwrap(), limit).await;
        names.map(|names| names.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")))
    };
    assert_eq!(ask("192.0.2.1", 9).await, Ok(Some("a.example.org b.example.org".to_owned())));
    assert_eq!(ask("192.0.2.1", 1).await, Ok(Some("a.example.org".to_owned())));
    assert_eq!(ask("192.0.2.2", 9).await, Ok(Some("c.example.org".to_owned())));
    assert_eq!(ask("192.0.2.3", 9).await, Ok(None));
    assert_eq!(ask("192.0.2.9", 9).await, Ok(None));
    assert_eq!(ask("2001:db8::1", 9).await, Ok(Some("six.test".to_owned())));
    assert!(matches!(ask("192.0.2.4", 9).await, Err(ResolveError::Reverse { .. })));
}

#[tokio::test]
async fn names_are_absolute() {
    let dns = Dns::serve(Vec::new()).await;
    let _ = dns.resolver().addresses(&host("primary")).await;
    let asked = dns.asked.lock().clone();
    assert!(!asked.is_empty() && asked.iter().all(|question| question.starts_with("primary. ")), "{asked:?}");
}
