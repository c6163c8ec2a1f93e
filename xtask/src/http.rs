//! A small HTTP/1.1 client on a kept-alive connection: enough to measure a server on this machine without measuring a client library.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value as Json;

use crate::shell::Result;

/// The longest answer that is read.
const MAX_BODY: usize = 256 << 20;
/// How long the server may be silent: an ingest of many records embeds before it answers.
const PATIENCE: Duration = Duration::from_secs(1800);

/// One connection and the key that its requests carry.
pub(crate) struct Client {
    address: String,
    key: String,
    stream: BufReader<TcpStream>,
    out: Vec<u8>,
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body, if the request succeeded.
    ///
    /// # Errors
    /// The sentence of the server's own error, or a body that is not JSON.
    pub(crate) fn json(self) -> Result<Json> {
        let text = String::from_utf8_lossy(&self.body);
        let json: Json = serde_json::from_slice(&self.body).map_err(|_| {
            format!("{} with a body that is not JSON: {}", self.status, text.chars().take(200).collect::<String>())
        })?;
        if self.status / 100 == 2 {
            return Ok(json);
        }
        let message = json.pointer("/error/message").and_then(Json::as_str).unwrap_or(&text);
        Err(format!("{}: {message}", self.status))
    }
}

impl Client {
    /// Connects to `base`, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// It is no such address, or nobody listens there.
    pub(crate) fn connect(base: &str, key: &str) -> Result<Self> {
        let address = base.strip_prefix("http://").ok_or(format!("{base} does not begin with http://"))?.to_owned();
        let stream = dial(&address).map_err(|error| format!("{base} cannot be reached: {error}"))?;
        Ok(Self { address, key: key.to_owned(), stream, out: Vec::new() })
    }

    /// A JSON request; without a body a GET has none.
    ///
    /// # Errors
    /// The connection broke or the answer is not HTTP; an answer of any status is none.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: Option<&Json>) -> Result<Answer> {
        self.send_text(method, path, &body.map(Json::to_string).unwrap_or_default())
    }

    /// As `send`, with a body that is JSON already.
    ///
    /// # Errors
    /// As `send`.
    pub(crate) fn send_text(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        self.exchange(method, path, "application/json", body.as_bytes())
    }

    /// A POST whose answer has to be a success; gives back its JSON.
    ///
    /// # Errors
    /// As `send`, and what the server refused.
    pub(crate) fn post(&mut self, path: &str, body: &Json) -> Result<Json> {
        self.send("POST", path, Some(body))?.json().map_err(|error| format!("POST {path}: {error}"))
    }

    /// A GET whose answer has to be a success.
    ///
    /// # Errors
    /// As `send`, and what the server refused.
    pub(crate) fn get(&mut self, path: &str) -> Result<Json> {
        self.send("GET", path, None)?.json().map_err(|error| format!("GET {path}: {error}"))
    }

    /// Sends lines of JSON to a datasource.
    ///
    /// # Errors
    /// As `send`, what the server refused, and a line that it rejected.
    pub(crate) fn ingest(&mut self, datasource: &str, lines: &[u8]) -> Result<u64> {
        let path = format!("/v1/datasources/{datasource}/records");
        let answer = self.exchange("POST", &path, "application/x-ndjson", lines)?.json();
        let answer = answer.map_err(|error| format!("POST {path}: {error}"))?;
        if let Some(rejected) = answer.pointer("/rejected/0") {
            return Err(format!(
                "{datasource} rejected {}",
                rejected.to_string().chars().take(300).collect::<String>()
            ));
        }
        Ok(answer.get("accepted").and_then(Json::as_u64).unwrap_or(0))
    }

    fn exchange(&mut self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Result<Answer> {
        self.out.clear();
        let Self { address, key, .. } = self;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.out.extend_from_slice(head.as_bytes());
        self.out.extend_from_slice(body);
        let failure = match self.round_trip() {
            Ok(answer) => return Ok(answer),
            Err(failure) => format!("{method} {path}: {failure}"),
        };
        // An idle connection may have been closed by the server: one new connection mends that.
        self.stream = dial(&self.address).map_err(|error| format!("{failure}; and then: {error}"))?;
        self.round_trip().map_err(|error| format!("{method} {path}: {error}"))
    }

    fn round_trip(&mut self) -> std::io::Result<Answer> {
        self.stream.get_mut().write_all(&self.out)?;
        read_answer(&mut self.stream)
    }
}

fn dial(address: &str) -> std::io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::with_capacity(64 << 10, stream))
}

fn read_answer(stream: &mut impl BufRead) -> std::io::Result<Answer> {
    let status_line = read_line(stream)?;
    let status =
        status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| broken("no status line"))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken("a header without a colon"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        loop {
            let line = read_line(stream)?;
            let size = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size.trim(), 16).map_err(|_| broken("a chunk without a size"))?;
            read_more(stream, size, &mut answer.body)?;
            read_line(stream)?;
            if size == 0 {
                break;
            }
        }
    } else {
        let length = answer
            .header("content-length")
            .map_or(Ok(0), str::parse)
            .map_err(|_| broken("a strange content-length"))?;
        read_more(stream, length, &mut answer.body)?;
    }
    Ok(answer)
}

fn read_more(stream: &mut impl BufRead, size: usize, body: &mut Vec<u8>) -> std::io::Result<()> {
    if body.len().saturating_add(size) > MAX_BODY {
        return Err(broken("an answer that is too large"));
    }
    let read = stream.by_ref().take(size as u64).read_to_end(body)?;
    if read == size { Ok(()) } else { Err(broken("an answer that ends early")) }
}

/// One line without its end.
fn read_line(stream: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    if stream.by_ref().take(64 << 10).read_line(&mut line)? == 0 {
        return Err(broken("a connection that was closed"));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn broken(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("the server sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::read_answer;

    #[test]
    fn reads_answers_of_known_and_of_unknown_length() {
        let mut wire = "HTTP/1.1 200 OK\r\nServer-Timing: filter;dur=0.2\r\nContent-Length: 2\r\n\r\n{}\
            HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
            .as_bytes();
        let first = read_answer(&mut wire).expect("whole");
        assert_eq!((first.status, first.body.as_slice()), (200, &b"{}"[..]));
        assert_eq!(first.header("server-timing"), Some("filter;dur=0.2"));
        let second = read_answer(&mut wire).expect("whole");
        assert_eq!((second.status, second.body.as_slice()), (404, &b"{\"a\":1}"[..]));
        assert_eq!(read_answer(&mut wire).expect("whole").body, b"");
        assert!(read_answer(&mut wire).is_err(), "nothing is left");
    }

    #[test]
    fn an_answer_cut_short_is_an_error() {
        assert!(read_answer(&mut &b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"[..]).is_err());
        assert!(read_answer(&mut &b"hello\r\n\r\n"[..]).is_err());
        assert!(read_answer(&mut &b""[..]).is_err());
    }
}
