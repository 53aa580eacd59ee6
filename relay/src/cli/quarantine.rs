//! `quarantine …`: damaged parts of the spool that were set aside, listed, printed and removed.

use super::{
    CliError,
    args::{QuarantineCommand, RelayArgs},
    client::{Client, ClientError, encoded},
    output::{self, Style, plain},
    queue::{Verdict, verdicts},
    surroundings::Surroundings,
    text::{age, count, printable, size},
};
use crate::{
    admin::SetAsideView,
    clock::{Clock, Timestamp},
};

pub(super) async fn run(command: QuarantineCommand) -> Result<(), CliError> {
    match command {
        QuarantineCommand::List(read) => {
            let all: Vec<SetAsideView> = client(&read.relay)?.get("/v1/quarantine").await?;
            if read.json {
                return output::json(&all);
            }
            output::print(&listing(&all, Clock::start().now(), Style::of_stdout()))
        }
        QuarantineCommand::Show { relay, name } => {
            let client = client(&relay)?;
            let mut offset = 0;
            loop {
                let part = part(&client, &name, offset).await?;
                if part.is_empty() {
                    return Ok(());
                }
                output::octets(&part)?;
                offset += part.len();
            }
        }
        QuarantineCommand::Discard { read, names } => {
            let client = client(&read.relay)?;
            let mut results = Vec::new();
            for name in names {
                let error = match client.delete(&path(&name)).await {
                    Ok(()) => None,
                    Err(error @ ClientError::Refused { .. }) => Some(error.to_string()),
                    Err(error) => return Err(error.into()),
                };
                results.push(Verdict { id: name, error });
            }
            verdicts(&results, read.json, |done| format!("{} removed.\n", count(done, "damaged part")))
        }
    }
}

fn client(relay: &RelayArgs) -> Result<Client, CliError> {
    Ok(Client::new(relay, &Surroundings::read())?)
}

fn path(name: &str) -> String {
    format!("/v1/quarantine/{}", encoded(name))
}

/// Some of its octets from there on; none at its end.
async fn part(client: &Client, name: &str, offset: usize) -> Result<bytes::Bytes, ClientError> {
    client.get_octets(&format!("{}?offset={offset}", path(name))).await
}

/// A table; nothing into a pipe where nothing is set aside.
fn listing(all: &[SetAsideView], now: Timestamp, style: Style) -> String {
    if all.is_empty() {
        return match style {
            Style::Terminal(_) => "Nothing is set aside.\n".to_owned(),
            Style::Plain => String::new(),
        };
    }
    let row = |part: &SetAsideView| {
        let what = if part.torn { "cut off, was never acknowledged" } else { "damaged" };
        vec![plain(printable(&part.name)), plain(age(&part.since, now)), plain(size(part.size)), plain(what.to_owned())]
    };
    output::table(style, &["NAME", "AGE", "SIZE", "WHAT"], all.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fake::{SET_ASIDE, Served};

    #[tokio::test]
    async fn what_is_set_aside_is_listed_and_printed_part_by_part() {
        let relay = Served::start(1).await;
        let client = relay.client();
        let all: Vec<SetAsideView> = client.get("/v1/quarantine").await.unwrap();
        let now = Timestamp::from_rfc3339(&all[0].since).unwrap();
        let text = listing(&all, now, Style::Plain);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(
            lines[1..],
            [
                "0000000001-512.batch  0s   2.5 MiB  damaged",
                "0000000002.torn       0s   2.5 MiB  cut off, was never acknowledged",
            ],
            "{text}"
        );
        assert_eq!(listing(&[], now, Style::Plain), "");
        let mut sizes = Vec::new();
        while sizes.last() != Some(&0) {
            sizes.push(part(&client, &all[0].name, sizes.iter().sum()).await.unwrap().len());
        }
        assert_eq!(sizes.iter().sum::<usize>(), SET_ASIDE);
        assert!(sizes.iter().all(|size| *size <= crate::admin::PART), "{sizes:?}");
        let stranger = part(&client, "../lock", 0).await.unwrap_err();
        assert_eq!(stranger.to_string(), "nothing of the name ../lock is set aside");
        client.delete(&path(&all[1].name)).await.unwrap();
        assert!(client.delete(&path("none")).await.is_err());
        relay.stop().await;
    }
}
