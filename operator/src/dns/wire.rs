//! One question to one server: over UDP, and over TCP where the answer is cut off or none comes (RFC 7766).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hickory_resolver::proto::{
    op::{Edns, Message, MessageType, Query, ResponseCode},
    rr::{Name, RecordType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// How long a server may take for an answer over UDP, each time of [`TIMES`].
const UDP: Duration = Duration::from_millis(1500);
/// How often a server is asked over UDP: a packet may be lost.
const TIMES: usize = 2;
/// How long a server may take over TCP, from the connection to the whole answer.
const TCP: Duration = Duration::from_secs(3);
/// The largest answer over UDP that is asked for: it passes any network in one piece (DNS flag day 2020).
const PAYLOAD: u16 = 1232;

/// Whether a server is to ask others for what it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recursion {
    /// It is: a resolver.
    Desired,
    /// It is to say what it knows itself: a zone's own server.
    Undesired,
}

/// Why a server gave no answer that counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nothing came in time.
    #[error("does not answer")]
    Silent,
    /// The network says that it cannot be reached.
    #[error("cannot be reached ({0})")]
    Unreachable(io::ErrorKind),
    /// It answered with an error code such as `ServFail` or `Refused`.
    #[error("answers {0}")]
    Code(String),
    /// It does not have the zone although the zone names it (a lame delegation).
    #[error("does not have the zone (a lame delegation)")]
    Lame,
    /// Its name has no address.
    #[error("has no address")]
    NoAddress,
}

/// Asks a server. The answer's code is `NoError` or `NXDomain`.
///
/// # Errors
/// It did not answer within about six seconds, or with another code.
pub async fn ask(server: SocketAddr, name: &Name, kind: RecordType, recursion: Recursion) -> Result<Message, Trouble> {
    let question = question(name, kind, recursion);
    let packet = question.to_vec().map_err(|_| Trouble::Code("FormErr".into()))?;
    let mut last = Err(Trouble::Silent);
    for _ in 0..TIMES {
        last = timeout(UDP, over_udp(server, &packet, &question)).await.unwrap_or(Err(Trouble::Silent));
        if !matches!(last, Err(Trouble::Silent)) {
            break;
        }
    }
    let cut_off = matches!(&last, Ok(reply) if reply.metadata.truncation);
    if cut_off || matches!(last, Err(Trouble::Silent)) {
        last = timeout(TCP, over_tcp(server, &packet, &question)).await.unwrap_or(Err(Trouble::Silent));
    }
    let reply = last?;
    match reply.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(reply),
        code => Err(Trouble::Code(format!("{code:?}"))),
    }
}

fn question(name: &Name, kind: RecordType, recursion: Recursion) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = recursion == Recursion::Desired;
    message.add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    message.set_edns(edns);
    message
}

async fn over_udp(server: SocketAddr, packet: &[u8], question: &Message) -> Result<Message, Trouble> {
    let here: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((here, 0)).await.map_err(unreachable)?;
    // Connected: the kernel drops what others send, and reports a port that is closed.
    socket.connect(server).await.map_err(unreachable)?;
    socket.send(packet).await.map_err(unreachable)?;
    let mut buffer = [0; PAYLOAD as usize];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(unreachable)?;
        if let Some(reply) = buffer.get(..length).and_then(|bytes| accepted(bytes, question)) {
            return Ok(reply);
        }
    }
}

async fn over_tcp(server: SocketAddr, packet: &[u8], question: &Message) -> Result<Message, Trouble> {
    let mut stream = TcpStream::connect(server).await.map_err(unreachable)?;
    let length = u16::try_from(packet.len()).map_err(|_| Trouble::Code("FormErr".into()))?;
    let framed = [&length.to_be_bytes(), packet].concat();
    stream.write_all(&framed).await.map_err(unreachable)?;
    let length = stream.read_u16().await.map_err(unreachable)?;
    let mut reply = vec![0; length.into()];
    stream.read_exact(&mut reply).await.map_err(unreachable)?;
    accepted(&reply, question).ok_or(Trouble::Silent)
}

/// The answer, if it is one to this question.
fn accepted(bytes: &[u8], question: &Message) -> Option<Message> {
    let reply = Message::from_vec(bytes).ok()?;
    let ours = reply.metadata.id == question.metadata.id
        && reply.metadata.message_type == MessageType::Response
        // An error may come without the question.
        && (reply.queries == question.queries
            || reply.queries.is_empty() && reply.metadata.response_code != ResponseCode::NoError);
    ours.then_some(reply)
}

fn unreachable(error: io::Error) -> Trouble {
    Trouble::Unreachable(error.kind())
}
