//! `queue …`: held mail listed, shown, and decided on.

use backupmx_relay_config::{DomainName, status::Discarded};
use serde::Serialize;

use super::{
    CliError,
    args::{MessageArgs, QueueCommand, ReadArgs, StateFilter, TargetArgs},
    client::{Client, ClientError, encoded},
    messages::{listing, show},
    output::{self, Style},
    surroundings::Surroundings,
    text::{count, printable, printable_lines},
};
use crate::{
    admin::{MessageVerb, MessageView, Page, TenantVerb},
    clock::Clock,
};

/// The most messages that one page of the API holds.
const PAGE: usize = 500;

pub(super) async fn run(command: QueueCommand) -> Result<(), CliError> {
    match command {
        QueueCommand::List { read, domain, state, limit } => {
            let mut filter = String::new();
            if let Some(domain) = domain {
                filter.push_str(&format!("&domain={domain}"));
            }
            if let Some(state) = state {
                filter.push_str(&format!("&state={}", name(state)));
            }
            list(&read, &filter, limit.get()).await
        }
        QueueCommand::Show { read, id, headers: true } => {
            let header = client(&read)?.get_octets(&format!("/v1/queue/{id}/headers")).await?;
            output::print(&printable_lines(&header))
        }
        QueueCommand::Show { read, id, headers: false } => {
            let message: MessageView = client(&read)?.get(&format!("/v1/queue/{id}")).await?;
            if read.json {
                return output::json(&message);
            }
            output::print(&show(&message, Clock::start().now(), Style::of_stdout()))
        }
        QueueCommand::Flush { read, target } => for_tenant(&read, TenantVerb::Flush, &target).await,
        QueueCommand::Suspend { read, target } => for_tenant(&read, TenantVerb::Suspend, &target).await,
        QueueCommand::Resume { read, target } => for_tenant(&read, TenantVerb::Resume, &target).await,
        QueueCommand::Release(args) => for_messages(&args, MessageVerb::Release).await,
        QueueCommand::Bounce(args) => for_messages(&args, MessageVerb::Bounce).await,
        QueueCommand::Discard { read, domain: Some(domain), .. } => discard_domain(&read, &domain).await,
        QueueCommand::Discard { read, ids, domain: None } => {
            for_messages(&MessageArgs { read, ids }, MessageVerb::Discard).await
        }
    }
}

fn client(read: &ReadArgs) -> Result<Client, CliError> {
    Ok(Client::new(&read.relay, &Surroundings::read())?)
}

const fn name(state: StateFilter) -> &'static str {
    match state {
        StateFilter::Queued => "queued",
        StateFilter::Held => "held",
        StateFilter::Parked => "parked",
    }
}

async fn list(read: &ReadArgs, filter: &str, limit: usize) -> Result<(), CliError> {
    let all = collect(&client(read)?, filter, limit).await?;
    if read.json {
        return output::json(&all);
    }
    output::print(&listing(&all, Clock::start().now(), Style::of_stdout()))
}

/// The oldest messages, from as many pages as it takes.
async fn collect(client: &Client, filter: &str, limit: usize) -> Result<Page, ClientError> {
    let mut all = Page { messages: Vec::new(), next: None };
    while all.messages.len() < limit {
        let wanted = PAGE.min(limit - all.messages.len());
        let after = all.next.map(|id| format!("&after={id}")).unwrap_or_default();
        let page: Page = client.get(&format!("/v1/queue?limit={wanted}{filter}{after}")).await?;
        all.messages.extend(page.messages);
        all.next = page.next;
        if all.next.is_none() {
            break;
        }
    }
    Ok(all)
}

async fn for_tenant(read: &ReadArgs, verb: TenantVerb, target: &TargetArgs) -> Result<(), CliError> {
    // A flush does no harm; stopping or starting everybody's mail is said out loud.
    if target.tenant.is_none() && !target.all && verb != TenantVerb::Flush {
        return Err(CliError::Usage("expected a tenant, one of its domains, or --all".to_owned()));
    }
    let query = target.tenant.as_deref().map(|tenant| format!("?tenant={}", encoded(tenant))).unwrap_or_default();
    client(read)?.post(&format!("/v1/{}{query}", verb.name())).await?;
    if read.json {
        return output::json(&serde_json::json!({ "done": verb.name(), "tenant": target.tenant }));
    }
    let who = target.tenant.as_deref().map_or_else(|| "all tenants".to_owned(), printable);
    let done = match verb {
        TenantVerb::Flush => format!("The primary of {who} is tried now.\n"),
        TenantVerb::Suspend => format!("Deliveries to {who} are stopped until `queue resume`; mail is still taken.\n"),
        TenantVerb::Resume => format!("Deliveries to {who} go on.\n"),
    };
    output::print(&done)
}

/// Asks again as long as something goes: one request goes on for some seconds at most.
async fn discard_domain(read: &ReadArgs, domain: &DomainName) -> Result<(), CliError> {
    let client = client(read)?;
    let mut all = Discarded::default();
    loop {
        let Discarded { discarded, left } = client.post_for(&format!("/v1/discard?domain={domain}")).await?;
        all = Discarded { discarded: all.discarded + discarded, left };
        if left == 0 || discarded == 0 {
            break;
        }
    }
    if read.json {
        return output::json(&all);
    }
    let mut text = format!("{} for {domain} removed.\n", count(all.discarded, "message"));
    if all.left > 0 {
        text.push_str(&format!("{} being delivered just now; try again.\n", count(all.left, "message")));
    }
    output::print(&text)
}

/// What became of one of those that were named, for scripts.
#[derive(Debug, Serialize)]
pub(super) struct Verdict<I> {
    /// Its name.
    pub(super) id: I,
    /// Why nothing was done to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// Says what became of them; `done` says of how many something was done.
pub(super) fn verdicts<I: Serialize>(
    results: &[Verdict<I>],
    json: bool,
    done: impl FnOnce(u64) -> String,
) -> Result<(), CliError> {
    let failed = results.iter().filter(|result| result.error.is_some()).count();
    if json {
        output::json(results)?;
    } else {
        for error in results.iter().filter_map(|result| result.error.as_ref()) {
            output::complain(error);
        }
        output::print(&done((results.len() - failed) as u64))?;
    }
    if failed == 0 { Ok(()) } else { Err(CliError::Said) }
}

async fn for_messages(args: &MessageArgs, verb: MessageVerb) -> Result<(), CliError> {
    let client = client(&args.read)?;
    let mut results = Vec::new();
    for id in &args.ids {
        let result = client.post(&format!("/v1/queue/{id}/{}", verb.name())).await;
        let error = match result {
            Ok(()) => None,
            Err(error @ ClientError::Refused { .. }) => Some(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        results.push(Verdict { id: *id, error });
    }
    verdicts(&results, args.read.json, |done| {
        let done = count(done, "message");
        match verb {
            MessageVerb::Release => format!("{done} queued for delivery again.\n"),
            MessageVerb::Bounce => format!("{done} given up; the sender is told.\n"),
            MessageVerb::Discard => format!("{done} removed.\n"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fake::Served;

    #[tokio::test]
    async fn a_long_list_is_read_page_by_page() {
        let relay = Served::start(3000).await;
        let client = relay.client();
        for (filter, limit, count, last) in [
            ("", 1, 1, 1),
            // Number 8 is delivered while it is looked at.
            ("", 1200, 1200, 1201),
            ("", 100_000, 2999, 3000),
            ("&state=held", 100_000, 300, 3000),
            ("&state=parked", 10, 0, 0),
        ] {
            let page = collect(&client, filter, limit).await.unwrap();
            let found = page.messages.last().map_or(0, |message| message.id.as_u64());
            assert_eq!((page.messages.len(), found), (count, last), "{filter} {limit}");
            assert_eq!(page.next.is_some(), count == limit, "{filter} {limit}");
        }
        relay.stop().await;
    }
}
