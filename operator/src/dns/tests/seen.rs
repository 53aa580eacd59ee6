//! Answers as DNS would give them.

use k8s_openapi::jiff::Timestamp;

use crate::dns::{
    authority::Source,
    lookup::{MxSeen, SeenMx},
    ownership::Ownership,
    survey::{Answer, Said, Survey},
    wire::Trouble,
};

/// The two servers of example.org agree.
pub(crate) fn said(at: Timestamp, said: Said<SeenMx>) -> MxSeen {
    each(at, vec![Ok(said.clone()), Ok(said)])
}

/// The servers of example.org say each its own.
pub(crate) fn each(at: Timestamp, said: Vec<Result<Said<SeenMx>, Trouble>>) -> MxSeen {
    let answers = said.into_iter().enumerate().map(|(index, said)| {
        let server = format!("ns{}.example.org", index + 1);
        Answer { server, said }
    });
    MxSeen {
        at,
        survey: Survey { source: Some(Source::Zone("example.org".into())), answers: answers.collect(), ttl: Some(300) },
        ownership: Ownership::Nobody,
        wildcard: None,
        addresses: None,
    }
}

/// The two servers of example.org have these records.
pub(crate) fn records(at: Timestamp, records: &[(u16, &str)]) -> MxSeen {
    said(at, Said::Records(set(records)))
}

pub(crate) fn set(records: &[(u16, &str)]) -> std::collections::BTreeSet<SeenMx> {
    records.iter().map(|(preference, host)| SeenMx { preference: *preference, host: (*host).to_owned() }).collect()
}
