//! A small HTTP client for the admin API, and for what else a test asks: HTTP/1.1, one request a connection.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Where an admin API is.
#[derive(Clone, Debug)]
pub struct Admin {
    place: Where,
    headers: String,
}

#[derive(Clone, Debug)]
enum Where {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// The body read as JSON.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }
}

impl Admin {
    /// On a Unix socket.
    #[must_use]
    pub fn unix(path: PathBuf) -> Self {
        Self { place: Where::Unix(path), headers: String::new() }
    }

    /// On a TCP port.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self { place: Where::Tcp(address), headers: String::new() }
    }

    /// With a bearer token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        self.with_header("Authorization", &format!("Bearer {token}"))
    }

    /// With a header.
    #[must_use]
    pub fn with_header(self, name: &str, value: &str) -> Self {
        Self { headers: format!("{}{name}: {value}\r\n", self.headers), ..self }
    }

    /// `GET`; none where nobody answers.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Answer> {
        self.request("GET", path, "").ok()
    }

    /// `POST` without a body.
    ///
    /// # Panics
    /// Nobody answers.
    #[track_caller]
    pub fn post(&self, path: &str) -> Answer {
        self.request("POST", path, "").expect("the admin API answers")
    }

    /// `PUT` of a text.
    ///
    /// # Panics
    /// Nobody answers.
    #[track_caller]
    pub fn put(&self, path: &str, body: &str) -> Answer {
        self.request("PUT", path, body).expect("the admin API answers")
    }

    /// Any request.
    ///
    /// # Errors
    /// Nobody answers, or not in HTTP.
    pub fn request(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let (headers, length) = (&self.headers, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\
             Content-Length: {length}\r\n\r\n{body}"
        );
        let mut octets = Vec::new();
        match &self.place {
            Where::Unix(socket) => {
                let mut stream = UnixStream::connect(socket)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.write_all(request.as_bytes())?;
                stream.read_to_end(&mut octets)?;
            }
            Where::Tcp(address) => {
                let mut stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.write_all(request.as_bytes())?;
                stream.read_to_end(&mut octets)?;
            }
        }
        parse(&String::from_utf8_lossy(&octets)).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head.lines().any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked"));
    Some(Answer { status, body: if chunked { unchunk(body)? } else { body.to_owned() } })
}

fn unchunk(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, tail) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(tail.get(..size)?);
        rest = tail.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_plain_and_chunked_answers() {
        let plain = parse("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno").unwrap();
        assert_eq!((plain.status, plain.body.as_str()), (404, "no"));
        let chunked =
            parse("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").unwrap();
        assert_eq!(chunked.body, "abcde");
    }
}
