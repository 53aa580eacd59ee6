//! What the servers of a zone say of one record set.

use std::{collections::BTreeSet, fmt::Debug};

use futures::future::join_all;
use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, RecordType},
};

use super::{
    authority::{Authority, Servers, Source, text},
    wire::Trouble,
};

/// What the servers of a zone say of one record set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey<D> {
    /// What made them the ones to ask. None: it could not be found out.
    pub source: Option<Source>,
    /// Each server asked, and what it said.
    pub answers: Vec<Answer<D>>,
    /// The largest TTL of the records, in seconds.
    pub ttl: Option<u32>,
}

/// What one server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<D> {
    /// How a person knows the server.
    pub server: String,
    /// What it says, or why that does not count.
    pub said: Result<Said<D>, Trouble>,
}

/// What a server says of a name and a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<D> {
    /// There are these records: one or more.
    Records(BTreeSet<D>),
    /// The name is an alias of that one (CNAME).
    Alias(String),
    /// The name exists, and has no such record.
    NoRecords,
    /// The name does not exist.
    NoName,
}

/// What all of them say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View<'a, D> {
    /// All that answered say the same.
    Agreed(&'a Said<D>),
    /// They say different things.
    Disagree(Vec<(&'a str, &'a Said<D>)>),
    /// None answered.
    Failed,
}

impl<D> Survey<D> {
    /// Nobody was asked.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { source: None, answers: Vec::new(), ttl: None }
    }
}

impl<D: Ord> Survey<D> {
    /// What all of them say together. Those that gave no answer do not count: one that is reached is enough, as a
    /// server that is away tells senders nothing wrong.
    #[must_use]
    pub fn view(&self) -> View<'_, D> {
        let said: Vec<(&str, &Said<D>)> = self
            .answers
            .iter()
            .filter_map(|answer| Some((answer.server.as_str(), answer.said.as_ref().ok()?)))
            .collect();
        match said.as_slice() {
            [] => View::Failed,
            [(_, first), rest @ ..] if rest.iter().all(|(_, other)| other == first) => View::Agreed(first),
            [..] => View::Disagree(said),
        }
    }

    /// Every answer that counts.
    pub fn said(&self) -> impl Iterator<Item = &Said<D>> {
        self.answers.iter().filter_map(|answer| answer.said.as_ref().ok())
    }

    /// The servers that gave no answer, and why, for people. Empty: all of them answered.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let failed = self.answers.iter().filter_map(|answer| Some((&answer.server, answer.said.as_ref().err()?)));
        failed.map(|(server, trouble)| format!("{server} {trouble}")).collect()
    }

    /// Whether the other says the same of DNS. TTLs that count down and the words of a failure are no news.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let said = |survey: &Self| -> Vec<(String, bool)> {
            survey.answers.iter().map(|answer| (answer.server.clone(), answer.said.is_ok())).collect()
        };
        said(self) == said(other) && self.said().eq(other.said())
    }
}

/// Asks all servers of the name's zone. `read` gives what is of interest in a record.
pub async fn survey<D: Ord>(
    authority: &Authority,
    name: &Name,
    kind: RecordType,
    read: impl Fn(&RData) -> Option<D>,
) -> Survey<D> {
    let Servers { source, list } = match authority.of(name).await {
        Ok(servers) => servers,
        Err((server, trouble)) => {
            return Survey { source: None, answers: vec![Answer { server, said: Err(trouble) }], ttl: None };
        }
    };
    let asked = join_all(list.iter().map(|server| authority.ask(&source, server, name, kind))).await;
    let mut ttl = None;
    let answers: Vec<Answer<D>> = list
        .into_iter()
        .zip(asked)
        .map(|(server, reply)| {
            let said = reply.map(|reply| {
                ttl = ttl.max(largest_ttl(&reply, name));
                said(&reply, name, &read)
            });
            Answer { server: server.label, said }
        })
        .collect();
    if answers.iter().all(|answer| answer.said.is_err()) {
        authority.forget(name);
    }
    Survey { source: Some(source), answers, ttl }
}

/// What one answer says of the name.
pub fn said<D: Ord>(reply: &Message, name: &Name, read: impl Fn(&RData) -> Option<D>) -> Said<D> {
    let ours = || reply.answers.iter().filter(|record| record.name == *name);
    if let Some(target) = ours().find_map(|record| match &record.data {
        RData::CNAME(target) => Some(text(&target.0)),
        _ => None,
    }) {
        return Said::Alias(target);
    }
    let records: BTreeSet<D> = ours().filter_map(|record| read(&record.data)).collect();
    match reply.metadata.response_code {
        _ if !records.is_empty() => Said::Records(records),
        ResponseCode::NXDomain => Said::NoName,
        _ => Said::NoRecords,
    }
}

fn largest_ttl(reply: &Message, name: &Name) -> Option<u32> {
    reply.answers.iter().filter(|record| record.name == *name).map(|record| record.ttl).max()
}
