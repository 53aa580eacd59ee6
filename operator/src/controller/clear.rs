//! Carries out a person's order on what is held for a domain that leaves.

use std::{collections::BTreeMap, mem, net::IpAddr, time::Duration};

use backupmx_crds::BackupMX;
use backupmx_relay_config::{DomainName, status::Discarded};
use kube::{Resource as _, ResourceExt};
use tokio::time::Instant;

use super::Context;
use crate::{
    events::{self, Event},
    plan::{Cleared, ClearedBy},
    relay_api::{self, RelayError},
    validated::{Owner, RelayName},
};

/// How long a pass goes on with one domain. The next pass goes on where it ended.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Of which orders was told, and of how many messages at most.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(BTreeMap<(RelayName, DomainName), u64>);

impl Told {
    /// What is to be told of these orders. One that takes several passes is told once, unless more comes to light.
    fn news(&mut self, owner: &Owner, ordered: &[Cleared]) -> Vec<Event> {
        let before = mem::take(&mut self.0);
        let mut news = Vec::new();
        for Cleared { relay, domain, messages, by } in ordered {
            let order = (relay.clone(), domain.clone());
            let known = before.get(&order).copied();
            if known < Some(*messages) {
                news.push(match by {
                    ClearedBy::Relay => events::discarded(relay, domain, *messages),
                    ClearedBy::Person => events::not_discarded(owner, relay, domain, *messages),
                });
            }
            self.0.insert(order, known.map_or(*messages, |known| known.max(*messages)));
        }
        news
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
    ordered.retain(|order| order.by == ClearedBy::Person || pods.contains_key(&order.relay));
    let uid = resource.uid().unwrap_or_default();
    let news = context.memory.lock().entry(uid).or_default().ordered.news(owner, &ordered);
    if !news.is_empty() {
        context.events.publish_first(&resource.object_ref(&()), news).await;
    }
    for Cleared { relay, domain, messages, by } in ordered {
        match (by, pods.get(&relay)) {
            (ClearedBy::Person, _) => {
                tracing::warn!(%owner, %relay, %domain, messages, "the relay's version discards nothing by domain");
            }
            (ClearedBy::Relay, None) => {}
            (ClearedBy::Relay, Some(pod)) => discard(context, owner, &relay, *pod, &domain).await,
        }
    }
}

async fn discard(context: &Context, owner: &Owner, relay: &RelayName, pod: IpAddr, domain: &DomainName) {
    let token = context.settings.master_key.token(owner, relay);
    let begun = Instant::now();
    while begun.elapsed() < AT_ONCE {
        match relay_api::discard(pod, &token, domain, &context.open_writes).await {
            Ok(Discarded { discarded, left }) => {
                tracing::warn!(%owner, %relay, %domain, discarded, left, "held mail is discarded, as was ordered");
                if discarded == 0 || left == 0 {
                    break;
                }
            }
            Err(error @ (RelayError::Unreachable(_) | RelayError::Refused(..) | RelayError::Unreadable(_))) => {
                tracing::warn!(%owner, %relay, %domain, %error, "failed to have held mail discarded");
                break;
            }
        }
    }
    context.reports.hurry(&(owner.clone(), relay.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(domain: &str, messages: u64) -> Cleared {
        let (relay, domain) = ("a".parse().unwrap(), domain.parse().unwrap());
        Cleared { relay, domain, messages, by: ClearedBy::Relay }
    }

    #[test]
    fn an_order_that_takes_several_passes_is_told_once() {
        let owner = Owner { namespace: "mail".into(), name: "example".into(), uid: "uid".into() };
        let mut told = Told::default();
        for (ordered, wanted) in [
            (vec![order("example.org", 3)], vec!["3 messages that it holds for example.org"]),
            (vec![order("example.org", 2)], vec![]),
            (vec![order("example.org", 3), order("example.net", 1)], vec!["1 message that it holds for example.net"]),
            (vec![order("example.org", 4), order("example.net", 1)], vec!["4 messages that it holds for example.org"]),
            (vec![], vec![]),
            (vec![order("example.org", 2)], vec!["2 messages that it holds for example.org"]),
        ] {
            let news = told.news(&owner, &ordered);
            let agree = news.iter().zip(&wanted).all(|(event, text)| event.note.contains(text));
            assert!(agree && news.len() == wanted.len(), "{wanted:?}: {news:?}");
        }
    }
}
