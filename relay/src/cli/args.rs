//! The command line, as clap reads it.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
};

use backupmx_relay_config::{DomainName, HostPort, Span};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::message::MessageId;

/// Holds mail while a domain's own mail server is down, and hands it over when it is back.
#[derive(Debug, Parser)]
#[command(
    name = "backupmx-relay",
    version,
    about,
    after_help = "\
Examples:
  backupmx-relay serve --domain example.org --primary mail.example.org
  backupmx-relay demo
  backupmx-relay status
Logs go to standard error; BACKUPMX_LOG=debug (or backupmx_relay::deliver=trace,info) says how much.
Exit codes: 0 done, 1 failed, 2 wrong command line or config."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a relay, from a config file or from a few flags.
    Serve(Box<ServeArgs>),
    /// Check a config file, or print one to start from.
    #[command(
        subcommand,
        after_help = "\
Examples:
  backupmx-relay config example > relay.yaml
  backupmx-relay config check relay.yaml"
    )]
    Config(ConfigCommand),
    /// Show how the relay, its primaries and its spool are.
    #[command(after_help = "\
Examples:
  backupmx-relay status
  backupmx-relay status --json | jq .queue.messages
  kubectl exec deploy/mx1 -- backupmx-relay status")]
    Status(ReadArgs),
    /// Look at held mail and decide what becomes of it.
    #[command(
        subcommand,
        after_help = "\
Examples:
  backupmx-relay queue list --domain example.org
  backupmx-relay queue show 1hzk8v0c2qp
  backupmx-relay queue flush example.org
  backupmx-relay queue discard 1hzk8v0c2qp"
    )]
    Queue(QueueCommand),
    /// Look at damaged parts of the spool that were set aside, save them elsewhere, remove them.
    #[command(
        subcommand,
        after_help = "\
Examples:
  backupmx-relay quarantine list
  backupmx-relay quarantine show 0000000003-8192.batch > damaged
  backupmx-relay quarantine discard 0000000003-8192.batch"
    )]
    Quarantine(QuarantineCommand),
    /// Run a stand-in primary that writes each message to a folder. For tests only: never let it face the Internet.
    Sink(SinkArgs),
    /// Show on this machine, in under a minute, how mail is held and handed over; every step is checked.
    #[command(after_help = "Example:\n  backupmx-relay demo")]
    Demo,
}

/// How a relay is started.
#[derive(Clone, Debug, Default, Args)]
#[command(override_usage = "\
backupmx-relay serve --config <FILE>
       backupmx-relay serve --domain <NAME>... --primary <HOST[:PORT]>... [OPTIONS]")]
#[command(after_help = "\
Examples:
  backupmx-relay serve --config relay.yaml
  backupmx-relay serve --domain example.org --primary mail.example.org
  backupmx-relay serve --domain example.org --primary mail.example.org \\
      --hostname mx2.example.org
  backupmx-relay serve --domain example.org --domain example.net \\
      --primary 192.0.2.25:2525 --spool ./spool --listen 127.0.0.1:2525 \\
      --hostname mx2.example.org --hold 14d --retry-max 45m")]
pub struct ServeArgs {
    /// The config file (`config example` prints one); changes to it take effect without a restart.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["domain", "primary", "spool", "listen", "hostname", "admin",
        "hold", "retry_min", "retry_max", "resolver"])]
    pub config: Option<PathBuf>,
    /// End when standard input is closed, as it is when what started the relay has ended.
    #[arg(long, hide = true)]
    pub while_stdin: bool,
    /// A domain whose mail is taken; may be given several times.
    #[arg(long, value_name = "NAME", required_unless_present = "config")]
    pub domain: Vec<DomainName>,
    /// The domains' own mail server; given several times, the first is tried first. Default port: 25.
    #[arg(long, value_name = "HOST[:PORT]", required_unless_present = "config")]
    pub primary: Vec<HostPort>,
    /// The folder that holds the mail [default: /var/lib/backupmx for root, else ~/.local/state/backupmx].
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,
    /// Where mail is taken [default: port 25 for root, else 2525, of every address].
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// The relay's own name in SMTP; the MX record's host [default: this machine's full name, where it has one].
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<DomainName>,
    /// Where /healthz, /readyz and /metrics are served [default: only on the Unix socket in the spool folder].
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    pub admin: Option<SocketAddr>,
    /// How long mail is held before it goes back to its sender, such as 12h or 14d [default: 7d].
    #[arg(long, value_name = "TIME")]
    pub hold: Option<Span>,
    /// How soon a primary that is down is tried again at first [default: 30s].
    #[arg(long, value_name = "TIME")]
    pub retry_min: Option<Span>,
    /// How often it is tried in the end [default: 5m].
    #[arg(long, value_name = "TIME")]
    pub retry_max: Option<Span>,
    /// A name server to ask instead of the system's; may be given several times. Default port: 53.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = name_server)]
    pub resolver: Vec<SocketAddr>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:2525 or [::]:25".to_owned())
}

fn count(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a whole number, 1 or more".to_owned())
}

fn name_server(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = |address: IpAddr| SocketAddr::new(address, 53);
    text.parse().or_else(|_| bare.parse().map(with_port)).map_err(|_| {
        "expected an IP address, or an address and a port such as 192.0.2.53:53 or [2001:db8::53]:53".to_owned()
    })
}

/// What to do with a config.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Read a config file and say what is wrong with it, if anything is.
    #[command(after_help = "\
Examples:
  backupmx-relay config check relay.yaml
  kubectl get configmap mx1 -o jsonpath='{.data.relay\\.yaml}' \\
      | backupmx-relay config check -")]
    Check {
        /// The file; `-` is standard input.
        file: PathBuf,
    },
    /// Print a config with every field explained, or a short one for a known scheme.
    #[command(after_help = "\
Examples:
  backupmx-relay config example > relay.yaml
  backupmx-relay config example --preset fortnight > relay.yaml")]
    Example {
        /// Print this scheme instead.
        #[arg(long, value_enum)]
        preset: Option<Preset>,
    },
}

/// A scheme of holding mail that people know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Hold 7 days; a primary that is down is tried after 5 minutes, sliding to every 45 minutes.
    Sliding,
    /// Hold 14 days; a primary that is down is tried every 5 minutes.
    Fortnight,
}

/// How a stand-in primary is started.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  backupmx-relay sink --listen 127.0.0.1:2600 --directory ./arrived \\
      --refuse nobody")]
pub struct SinkArgs {
    /// Where it takes mail.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:2600", value_parser = address)]
    pub listen: SocketAddr,
    /// The folder that each message is written to; made if it is missing.
    #[arg(long, value_name = "DIR")]
    pub directory: PathBuf,
    /// What it calls itself.
    #[arg(long, value_name = "NAME", default_value = "sink.localhost")]
    pub hostname: DomainName,
    /// End when standard input is closed, as it is when what started it has ended.
    #[arg(long, hide = true)]
    pub while_stdin: bool,
    /// A local part that it answers 550; may be given several times.
    #[arg(long, value_name = "LOCAL-PART")]
    pub refuse: Vec<String>,
}

/// How a running relay is reached.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which relay")]
pub struct RelayArgs {
    /// Its Unix socket [default: $BACKUPMX_SOCKET, else control.sock in the spool folder that `serve` would use].
    #[arg(long, value_name = "PATH", conflicts_with_all = ["spool", "config", "url"])]
    pub socket: Option<PathBuf>,
    /// Its spool folder.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "url"])]
    pub spool: Option<PathBuf>,
    /// Its config file.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub config: Option<PathBuf>,
    /// Its admin API over TCP, such as http://127.0.0.1:8081; needs --token-file.
    #[arg(long, value_name = "URL", requires = "token_file")]
    pub url: Option<String>,
    /// A file with the bearer token.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub token_file: Option<PathBuf>,
}

/// A question to a running relay.
#[derive(Clone, Debug, Args)]
pub struct ReadArgs {
    /// How it is reached.
    #[command(flatten)]
    pub relay: RelayArgs,
    /// Print JSON, for scripts.
    #[arg(long)]
    pub json: bool,
}

/// What to do with what was set aside.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// List what was set aside, the oldest first.
    #[command(after_help = "\
Examples:
  backupmx-relay quarantine list
  backupmx-relay quarantine list --json | jq -r '.[].name'")]
    List(ReadArgs),
    /// Print one, octet by octet: records as the log has them, mail among them.
    #[command(after_help = "\
Examples:
  backupmx-relay quarantine show 0000000003-8192.batch > damaged
  kubectl exec deploy/mx1 -- backupmx-relay quarantine show 1hzk8v0c2qp.msg \\
      > damaged")]
    Show {
        /// Which relay.
        #[command(flatten)]
        relay: RelayArgs,
        /// Its name, as `quarantine list` shows it.
        name: String,
    },
    /// Remove some for ever. Mail in them that could not be read is lost then.
    #[command(after_help = "Example:\n  backupmx-relay quarantine discard 0000000003-8192.batch")]
    Discard {
        /// How it is asked.
        #[command(flatten)]
        read: ReadArgs,
        /// Their names, as `quarantine list` shows them.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// What to do with held mail.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List held mail, oldest first.
    #[command(after_help = "\
Examples:
  backupmx-relay queue list
  backupmx-relay queue list --domain example.org --state held
  backupmx-relay queue list --limit 10000 --json | jq -r '.messages[].id'")]
    List {
        /// How it is asked.
        #[command(flatten)]
        read: ReadArgs,
        /// Only mail for this domain.
        #[arg(long, value_name = "NAME")]
        domain: Option<DomainName>,
        /// Only mail in this state.
        #[arg(long, value_enum)]
        state: Option<StateFilter>,
        /// At most so many messages.
        #[arg(long, value_name = "COUNT", default_value = "100", value_parser = count)]
        limit: NonZeroUsize,
    },
    /// Show one message: its envelope, how far each recipient is, until when it is held.
    #[command(after_help = "\
Examples:
  backupmx-relay queue show 1hzk8v0c2qp
  backupmx-relay queue show 1hzk8v0c2qp --headers")]
    Show {
        /// How it is asked.
        #[command(flatten)]
        read: ReadArgs,
        /// The message, as `queue list` shows it.
        id: MessageId,
        /// Print the message's header instead. Its content is never shown.
        #[arg(long, conflicts_with = "json")]
        headers: bool,
    },
    /// Try the primary at once and hand over all that waits.
    #[command(after_help = "\
Examples:
  backupmx-relay queue flush
  backupmx-relay queue flush example.org")]
    Flush {
        /// How it is asked.
        #[command(flatten)]
        read: ReadArgs,
        /// Which tenant [default: all].
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Stop deliveries to a primary; mail is still taken and held, and none of it expires.
    #[command(after_help = "\
Examples:
  backupmx-relay queue suspend example.org
  backupmx-relay queue suspend --all")]
    Suspend {
        /// How it is asked.
        #[command(flatten)]
        read: ReadArgs,
        /// Which tenant.
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Deliver again after a suspend, a storm of rejects, or a wall clock that jumped.
    #[command(after_help = "\
Examples:
  backupmx-relay queue resume example.org
  backupmx-relay queue resume --all")]
    Resume {
        /// How it is asked.
        #[command(flatten)]
        read: ReadArgs,
        /// Which tenant.
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Put held or parked messages in the queue again.
    #[command(after_help = "\
Examples:
  backupmx-relay queue release 1hzk8v0c2qp 1hzk8v0d11a
  backupmx-relay queue list --state held --json | jq -r '.messages[].id' \\
      | xargs backupmx-relay queue release")]
    Release(MessageArgs),
    /// Give messages up and tell their senders, whatever `bounce.policy` says.
    #[command(after_help = "Example:\n  backupmx-relay queue bounce 1hzk8v0c2qp")]
    Bounce(MessageArgs),
    /// Remove messages for ever, without a word to their senders.
    #[command(after_help = "\
Examples:
  backupmx-relay queue discard 1hzk8v0c2qp
  backupmx-relay queue discard --domain example.org")]
    Discard {
        /// How it is asked.
        #[command(flatten)]
        read: ReadArgs,
        /// The messages, as `queue list` shows them.
        #[arg(required_unless_present = "domain", value_name = "ID")]
        ids: Vec<MessageId>,
        /// All that is held for a domain whose mail is not taken any more.
        #[arg(long, conflicts_with = "ids")]
        domain: Option<DomainName>,
    },
}

/// Whose mail.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// A tenant's name, or one of its domains.
    #[arg(value_name = "TENANT|DOMAIN", conflicts_with = "all")]
    pub tenant: Option<String>,
    /// Every tenant.
    #[arg(long)]
    pub all: bool,
}

/// Which messages.
#[derive(Clone, Debug, Args)]
pub struct MessageArgs {
    /// How it is asked.
    #[command(flatten)]
    pub read: ReadArgs,
    /// The messages, as `queue list` shows them.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<MessageId>,
}

/// The states that a listing can be narrowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StateFilter {
    /// Waits for its destination.
    Queued,
    /// Kept here by a refusal: rejected, withheld, or in a loop.
    Held,
    /// Undeliverable, and its sender may not be told; kept until its hold time ends.
    Parked,
}
