//! A session with one server, from the connection to QUIT.

use std::sync::Arc;

use backupmx_relay_config::{DomainName, PrimaryTlsMode};
use rustls::pki_types::ServerName;

use super::{
    Capabilities, Endpoint, Fault, Lost, OpenError, Quirks, Settings, Stage, Timeouts, capabilities::server_name,
    wire::Wire,
};
use crate::{message::TlsUsed, smtp::Reply};

/// A session with one server, ready for a transaction. Dropped, its connection is closed without a word;
/// [`Session::quit`] is the polite way.
#[derive(Debug)]
pub struct Session {
    pub(super) wire: Wire,
    pub(super) state: State,
    pub(super) capabilities: Capabilities,
    pub(super) transactions: u32,
    pub(super) timeouts: Timeouts,
    /// Our own name: Authentication-Results fields that bear it are forged.
    pub(super) ourselves: DomainName,
    pub(super) quirks: Arc<Quirks>,
    endpoint: Endpoint,
    server: String,
}

/// How the session stands between transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing is left of the last transaction.
    Ready,
    /// The last transaction failed; RSET must come first.
    Stale,
    /// Of no more use.
    Closed,
}

/// Whether STARTTLS is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    Wanted,
    /// It has failed once: in the clear then.
    GivenUp,
}

/// What EHLO, or HELO after it, brought.
struct Hello {
    capabilities: Capabilities,
    server: String,
}

impl Session {
    /// Connects and gets ready for the first transaction: greeting, EHLO (HELO where EHLO is not known), TLS as the mode
    /// asks. With opportunistic TLS a handshake that fails means a second connection in the clear.
    ///
    /// # Errors
    /// The server cannot be reached, refuses us, lacks the TLS that is required, or bears our own name.
    pub async fn open(endpoint: &Endpoint, settings: &Settings) -> Result<Self, OpenError> {
        match Self::attempt(endpoint, settings, Encryption::Wanted).await {
            Err(OpenError::Lost(Lost { stage: Stage::Tls, .. })) if settings.tls == PrimaryTlsMode::Opportunistic => {
                Self::attempt(endpoint, settings, Encryption::GivenUp).await
            }
            result => result,
        }
    }

    async fn attempt(endpoint: &Endpoint, settings: &Settings, encryption: Encryption) -> Result<Self, OpenError> {
        let timeouts = settings.timeouts;
        let mut wire =
            Wire::connect(endpoint.address, &settings.hurry, timeouts.connect).await.map_err(at(Stage::Connect))?;
        let greeting = wire.reply(timeouts.greeting).await.map_err(at(Stage::Greeting))?;
        not_ours(&accept(Stage::Greeting, greeting, 220)?, &settings.helo)?;
        let mut hello = say_hello(&mut wire, settings).await?;
        let wanted = settings.tls != PrimaryTlsMode::None && encryption == Encryption::Wanted;
        let required = matches!(settings.tls, PrimaryTlsMode::Require | PrimaryTlsMode::Verify);
        if wanted && hello.capabilities.starttls {
            wire.send(b"STARTTLS\r\n", timeouts.ehlo).await.map_err(at(Stage::StartTls))?;
            let reply = wire.reply(timeouts.ehlo).await.map_err(at(Stage::StartTls))?;
            if reply.code == 220 {
                wire = encrypt(wire, endpoint, settings).await?;
                // What was offered in the clear may have been tampered with (RFC 3207 4.2).
                hello = say_hello(&mut wire, settings).await.map_err(|error| match error {
                    OpenError::Lost(lost) => Lost { stage: Stage::Tls, ..lost }.into(),
                    other => other,
                })?;
            } else if required || reply.code == 421 {
                return Err(OpenError::Refused { stage: Stage::StartTls, reply });
            }
        } else if required {
            return Err(OpenError::NoTls);
        }
        // Whether it may be had in this session, not only what it says.
        hello.capabilities.chunking &= settings.quirks.may_chunk(endpoint.address);
        Ok(Self {
            wire,
            state: State::Ready,
            capabilities: hello.capabilities,
            transactions: 0,
            timeouts,
            ourselves: settings.helo.clone(),
            quirks: Arc::clone(&settings.quirks),
            endpoint: endpoint.clone(),
            server: hello.server,
        })
    }

    /// What the server offers.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The name that the server gives itself.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The server.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The encryption in use.
    #[must_use]
    pub fn tls(&self) -> Option<TlsUsed> {
        self.wire.tls()
    }

    /// Transactions begun in this session.
    #[must_use]
    pub fn transactions(&self) -> u32 {
        self.transactions
    }

    /// Whether another transaction can be tried: nothing has ended the session, and the server has not closed the idle
    /// connection as far as the kernel knows.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state != State::Closed && self.wire.is_quiet()
    }

    /// Ends the session with QUIT.
    pub async fn quit(mut self) {
        if self.state != State::Closed && self.wire.send(b"QUIT\r\n", self.timeouts.quit).await.is_ok() {
            // The answer changes nothing; waiting for it lets the server close first.
            let _ = self.wire.reply(self.timeouts.quit).await;
        }
    }
}

/// EHLO; HELO where the server answers 5xx to it (RFC 5321 3.2).
async fn say_hello(wire: &mut Wire, settings: &Settings) -> Result<Hello, OpenError> {
    let ehlo = ask(wire, &format!("EHLO {}\r\n", settings.helo), settings).await?;
    let (reply, capabilities) = if ehlo.is_permanent() {
        (ask(wire, &format!("HELO {}\r\n", settings.helo), settings).await?, Capabilities::default())
    } else {
        let capabilities = Capabilities::parse(&ehlo);
        (ehlo, capabilities)
    };
    let reply = accept(Stage::Ehlo, reply, 250)?;
    let server = not_ours(&reply, &settings.helo)?;
    Ok(Hello { capabilities, server })
}

async fn ask(wire: &mut Wire, command: &str, settings: &Settings) -> Result<Reply, OpenError> {
    wire.send(command.as_bytes(), settings.timeouts.ehlo).await.map_err(at(Stage::Ehlo))?;
    Ok(wire.list(settings.timeouts.ehlo).await.map_err(at(Stage::Ehlo))?)
}

/// The name that the server gives itself, unless it is our own.
fn not_ours(reply: &Reply, ourselves: &DomainName) -> Result<String, OpenError> {
    let name = server_name(reply);
    if name.strip_suffix('.').unwrap_or(name).eq_ignore_ascii_case(ourselves.as_str()) {
        return Err(OpenError::Ourselves { name: name.to_owned() });
    }
    Ok(name.to_owned())
}

async fn encrypt(wire: Wire, endpoint: &Endpoint, settings: &Settings) -> Result<Wire, Lost> {
    let failed = |problem: String| Lost { stage: Stage::Tls, fault: Fault::Tls(problem) };
    let config = settings.client_tls.config(settings.tls).map_err(|error| failed(error.to_string()))?;
    let name = match &endpoint.name {
        Some(name) => ServerName::try_from(name.to_string()).map_err(|error| failed(error.to_string()))?,
        None => ServerName::from(endpoint.address.ip()),
    };
    wire.encrypt(config, name, settings.timeouts.tls).await.map_err(at(Stage::Tls))
}

fn at(stage: Stage) -> impl Fn(Fault) -> Lost {
    move |fault| Lost { stage, fault }
}

/// The expected reply, or a refusal, or one that means nothing here.
fn accept(stage: Stage, reply: Reply, expected: u16) -> Result<Reply, OpenError> {
    if reply.code == expected {
        Ok(reply)
    } else if reply.is_transient() || reply.is_permanent() {
        Err(OpenError::Refused { stage, reply })
    } else {
        Err(Lost { stage, fault: Fault::Unexpected(reply) }.into())
    }
}
