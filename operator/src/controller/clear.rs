//! Carries out a person's order on what is held for a domain that leaves.

use std::{collections::BTreeMap, mem, net::IpAddr, time::Duration};

use backupmx_crds::BackupMX;
use backupmx_relay_config::{DomainName, status::Discarded};
use futures::future::join_all;
use kube::{Resource as _, ResourceExt};
use tokio::time::Instant;

use super::Context;
use crate::{
    events::{self, Event},
    plan::Cleared,
    relay_api::{self, RelayError},
    validated::{Owner, RelayName},
};

/// How long a pass goes on with all orders. The next pass goes on where it ended.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Of which orders was told, and of how many messages at most.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(BTreeMap<(RelayName, DomainName), u64>);

impl Told {
    /// What is to be told of these orders. One that takes several passes is told once, unless more comes to light.
    fn news(&mut self, ordered: &[Cleared]) -> Vec<Event> {
        let before = mem::take(&mut self.0);
        let mut news = Vec::new();
        for Cleared { relay, domain, messages, .. } in ordered {
            let order = (relay.clone(), domain.clone());
            let known = before.get(&order).copied();
            if known < Some(*messages) {
                news.push(events::discarded(relay, domain, *messages));
            }
            self.0.insert(order, known.map_or(*messages, |known| known.max(*messages)));
        }
        news
    }
}

/// Tells of what no relay discards, before it is noted that nobody waits for it any more: nothing would tell it later.
pub(super) async fn hand_to_people(resource: &BackupMX, owner: &Owner, context: &Context, ordered: &[Cleared]) {
    let tell = |Cleared { relay, domain, messages, .. }: &Cleared| {
        tracing::warn!(%owner, %relay, %domain, messages, "the relay's version discards nothing by domain");
        events::not_discarded(owner, relay, domain, *messages)
    };
    if !ordered.is_empty() {
        context.events.publish_first(&resource.object_ref(&()), ordered.iter().map(tell).collect()).await;
    }
}

/// Tells what goes, and then has the relays discard it: an operator that is killed in between tells it again, and not
/// never.
pub(super) async fn clear(
    resource: &BackupMX,
    owner: &Owner,
    context: &Context,
    pods: &BTreeMap<RelayName, IpAddr>,
    mut ordered: Vec<Cleared>,
) {
    ordered.retain(|order| pods.contains_key(&order.relay));
    let uid = resource.uid().unwrap_or_default();
    let news = context.memory.lock().entry(uid).or_default().ordered.news(&ordered);
    if !news.is_empty() {
        context.events.publish_first(&resource.object_ref(&()), news).await;
    }
    let mut told: BTreeMap<RelayName, Vec<DomainName>> = BTreeMap::new();
    for Cleared { relay, domain, .. } in ordered {
        told.entry(relay).or_default().push(domain);
    }
    let relays: Vec<RelayName> = told.keys().cloned().collect();
    all_at_once(Instant::now() + AT_ONCE, told, |relay, domain| async move {
        match pods.get(&relay) {
            Some(pod) => discard(context, owner, &relay, *pod, &domain).await,
            None => Then::Over,
        }
    })
    .await;
    for relay in relays {
        context.reports.hurry(&(owner.clone(), relay));
    }
}

/// Whether it is of use to tell a relay again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Again,
    Over,
}

/// Tells all relays side by side, of which a resource has few; each of its domains in turn, as often as it is of use.
/// Nothing is begun after `until`: what else the resource needs does not wait for its orders.
async fn all_at_once<F>(
    until: Instant,
    told: BTreeMap<RelayName, Vec<DomainName>>,
    tell: impl Fn(RelayName, DomainName) -> F + Sync,
) where
    F: Future<Output = Then> + Send,
{
    let tell = &tell;
    join_all(told.into_iter().map(|(relay, domains)| async move {
        for domain in domains {
            while Instant::now() < until && tell(relay.clone(), domain.clone()).await == Then::Again {}
        }
    }))
    .await;
}

async fn discard(context: &Context, owner: &Owner, relay: &RelayName, pod: IpAddr, domain: &DomainName) -> Then {
    let token = context.settings.master_key.token(owner, relay);
    match relay_api::discard(pod, &token, domain, &context.open_writes).await {
        Ok(Discarded { discarded, left }) => {
            tracing::warn!(%owner, %relay, %domain, discarded, left, "held mail is discarded, as was ordered");
            if discarded == 0 || left == 0 { Then::Over } else { Then::Again }
        }
        Err(error @ (RelayError::Unreachable(_) | RelayError::Refused(..) | RelayError::Unreadable(_))) => {
            tracing::warn!(%owner, %relay, %domain, %error, "failed to have held mail discarded");
            Then::Over
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::{
        sync::Barrier,
        time::{sleep, timeout},
    };

    use super::*;

    fn order(domain: &str, messages: u64) -> Cleared {
        let (relay, domain) = ("a".parse().unwrap(), domain.parse().unwrap());
        Cleared { relay, domain, messages, by: crate::plan::ClearedBy::Relay }
    }

    #[test]
    fn an_order_that_takes_several_passes_is_told_once() {
        let mut told = Told::default();
        for (ordered, wanted) in [
            (vec![order("example.org", 3)], vec!["3 messages that it holds for example.org"]),
            (vec![order("example.org", 2)], vec![]),
            (vec![order("example.org", 3), order("example.net", 1)], vec!["1 message that it holds for example.net"]),
            (vec![order("example.org", 4), order("example.net", 1)], vec!["4 messages that it holds for example.org"]),
            (vec![], vec![]),
            (vec![order("example.org", 2)], vec!["2 messages that it holds for example.org"]),
        ] {
            let news = told.news(&ordered);
            let agree = news.iter().zip(&wanted).all(|(event, text)| event.note.contains(text));
            assert!(agree && news.len() == wanted.len(), "{wanted:?}: {news:?}");
        }
    }

    fn domains(names: &[&str]) -> Vec<DomainName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn no_relay_waits_for_another() {
        let both = Barrier::new(2);
        let orders = ["a", "b"].map(|relay| (relay.parse().unwrap(), domains(&["example.org"])));
        let told = all_at_once(Instant::now() + AT_ONCE, orders.into(), |_, _| async {
            both.wait().await;
            Then::Over
        });
        timeout(AT_ONCE, told).await.expect("both relays are told at once");
    }

    #[tokio::test]
    async fn all_orders_have_one_end() {
        let begun = Mutex::new(Vec::new());
        let until = Instant::now() + Duration::from_millis(50);
        let orders = [("a".parse().unwrap(), domains(&["example.org", "example.net", "example.com"]))];
        let told = all_at_once(until, orders.into(), |_, domain| {
            begun.lock().push((domain, Instant::now()));
            async {
                sleep(Duration::from_millis(20)).await;
                Then::Again
            }
        });
        timeout(AT_ONCE, told).await.expect("an order without an end has one");
        let begun = begun.into_inner();
        assert!(!begun.is_empty() && begun.iter().all(|(domain, _)| domain.as_str() == "example.org"), "{begun:?}");
    }

    #[tokio::test]
    async fn a_domain_that_is_done_makes_way_for_the_next() {
        let begun = Mutex::new(Vec::new());
        let orders = [("a".parse().unwrap(), domains(&["example.org", "example.net"]))];
        all_at_once(Instant::now() + AT_ONCE, orders.into(), |_, domain| {
            let mut begun = begun.lock();
            begun.push(domain.to_string());
            let then = if begun.len() == 1 { Then::Again } else { Then::Over };
            async move { then }
        })
        .await;
        assert_eq!(begun.into_inner(), ["example.org", "example.org", "example.net"]);
    }
}
