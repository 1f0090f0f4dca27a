//! The browser's way back: a listener on this machine that takes one authorization answer.
//!
//! RFC 8252 §7.3. Anything on the machine, and any web page, may knock here: whatever does not carry this
//! sign-in's `state` is answered and forgotten.

use std::{net::Ipv4Addr, net::Ipv6Addr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use url::Url;

/// The path the provider sends the browser to; the one existing clients use, so that providers know it.
const CALLBACK_PATH: &str = "/auth/callback";
/// The longest request head we read.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// How long a connection may take to say what it wants. Browsers open some and say nothing.
const KNOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// What the provider answered through the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A code to exchange.
    Code(String),
    /// A refusal, in the provider's words.
    Refused(String),
}

/// A listener on a port of the system's choice.
#[derive(Debug)]
pub struct Loopback {
    v4: TcpListener,
    /// `localhost` may mean this one first; where the machine has it, it answers too.
    v6: Option<TcpListener>,
    port: u16,
}

impl Loopback {
    /// Opens a port on 127.0.0.1.
    ///
    /// # Errors
    /// When the system has none.
    pub async fn open() -> std::io::Result<Self> {
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = v4.local_addr()?.port();
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await.ok();
        Ok(Self { v4, v6, port })
    }

    /// The address to tell the provider.
    #[must_use]
    pub fn redirect_uri(&self) -> String {
        format!("http://localhost:{}{CALLBACK_PATH}", self.port)
    }

    /// Waits for the answer to the request with this `state`, from this issuer.
    pub(crate) async fn answer(self, state: &str, issuer: &str) -> Answer {
        let (sender, mut receiver) = mpsc::channel::<Answer>(1);
        loop {
            let connection = tokio::select! {
                connection = self.v4.accept() => connection,
                connection = accept(self.v6.as_ref()) => connection,
                Some(answer) = receiver.recv() => return answer,
            };
            let Ok((stream, _)) = connection else { continue };
            let (sender, state, issuer) = (sender.clone(), state.to_owned(), issuer.to_owned());
            // Each on its own, so that one that never speaks does not hold up the one that matters.
            tokio::spawn(async move {
                let served = tokio::time::timeout(KNOCK_TIMEOUT, serve(stream, &state, &issuer)).await;
                if let Ok(Some(answer)) = served {
                    let _ = sender.send(answer).await;
                }
            });
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> std::io::Result<(TcpStream, std::net::SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Reads one request, answers it, and says whether it was the one.
async fn serve(mut stream: TcpStream, state: &str, issuer: &str) -> Option<Answer> {
    let mut head = Vec::new();
    let mut room = [0; 2048];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let read = stream.read(&mut room).await.ok().filter(|n| *n > 0)?;
        head.extend_from_slice(room.get(..read)?);
        if head.len() > MAX_HEAD_BYTES {
            return None;
        }
    }
    let answer = answer_in(&head, state, issuer);
    let (status, words) = match &answer {
        Some(Answer::Code(_)) => ("200 OK", "You are signed in. You can close this page."),
        Some(Answer::Refused(_)) => ("200 OK", "You were not signed in. The terminal says why."),
        None => ("404 Not Found", "Nothing is here."),
    };
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{words} – sealog</title><main><h1>sealog</h1><p>{words}</p></main></html>\n"
    );
    let reply = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Content-Security-Policy: default-src 'none'\r\nReferrer-Policy: no-referrer\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    let _ = stream.write_all(reply.as_bytes()).await;
    let _ = stream.shutdown().await;
    answer
}

/// The provider's answer in a request head, if it is one to this sign-in.
fn answer_in(head: &[u8], state: &str, issuer: &str) -> Option<Answer> {
    let line = std::str::from_utf8(head).ok()?.lines().next()?;
    let mut words = line.split(' ');
    let (Some("GET"), Some(target)) = (words.next(), words.next()) else { return None };
    let url = Url::parse("http://localhost").ok()?.join(target).ok()?;
    if url.path() != CALLBACK_PATH {
        return None;
    }
    let parameter = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, v)| v.into_owned());
    // Compared by digest, so that the time taken says nothing about how much of it was right.
    let given = parameter("state")?;
    if sealog_crypto::sha256(given.as_bytes()) != sealog_crypto::sha256(state.as_bytes()) {
        return None;
    }
    // RFC 9207: an answer that names another issuer is a mix-up attack.
    if parameter("iss").is_some_and(|named| named != issuer) {
        return None;
    }
    if let Some(error) = parameter("error") {
        return Some(Answer::Refused(parameter("error_description").unwrap_or(error)));
    }
    parameter("code").map(Answer::Code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_this_sign_in_counts() {
        let read = |line: &str| answer_in(line.as_bytes(), "s1", "https://i.example");
        let code = |c: &str| Some(Answer::Code(c.to_owned()));
        assert_eq!(read("GET /auth/callback?code=a%2Fb&state=s1 HTTP/1.1\r\n\r\n"), code("a/b"));
        assert_eq!(
            read("GET /auth/callback?code=c&state=s1&iss=https%3A%2F%2Fi.example HTTP/1.1\r\n\r\n"),
            code("c")
        );
        assert_eq!(
            read("GET /auth/callback?error=access_denied&error_description=no&state=s1 HTTP/1.1"),
            Some(Answer::Refused("no".into()))
        );
        for other in [
            "GET /auth/callback?code=c&state=s2 HTTP/1.1",
            "GET /auth/callback?code=c HTTP/1.1",
            "GET /auth/callback?state=s1 HTTP/1.1",
            "GET /favicon.ico?code=c&state=s1 HTTP/1.1",
            "POST /auth/callback?code=c&state=s1 HTTP/1.1",
            "GET /auth/callback?code=c&state=s1&iss=https%3A%2F%2Fother.example HTTP/1.1",
            "",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn knocks_and_silence_do_not_disturb_the_answer() {
        let loopback = Loopback::open().await.unwrap();
        let port = loopback.port;
        let answer = tokio::spawn(async move { loopback.answer("s1", "https://i.example").await });
        let silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let ask = |target: &'static str| async move {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await.unwrap();
            reply
        };
        assert!(ask("/favicon.ico").await.starts_with("HTTP/1.1 404"));
        assert!(ask("/auth/callback?code=c&state=wrong").await.starts_with("HTTP/1.1 404"));
        assert!(ask("/auth/callback?code=c&state=s1").await.contains("You are signed in"));
        assert_eq!(answer.await.unwrap(), Answer::Code("c".into()));
        drop(silent);
    }
}
