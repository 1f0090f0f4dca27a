//! The SPIFFE Workload API, by which an agent on this machine tells a program who it is: one call of gRPC.
//!
//! Spec: SPIFFE Workload Endpoint §4 (where it is) and §6 (the metadata `workload.spiffe.io`), SPIFFE Workload API §6
//! (`FetchJWTSVID`), grpc/grpc doc/PROTOCOL-HTTP2.md. The agent knows who asks from the kernel; there is no secret to send, and
//! what it answers stays on this machine: a Unix socket, or a loopback address.

use crate::http;
use prost::{Message, bytes::Bytes};
use sealog_crypto::Zeroizing;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinSet,
};
use url::Url;

/// An agent may have to ask its server.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Tokens are shorter.
const MAX_ANSWER: usize = 64 << 10;
const MAX_HEADERS: u32 = 16 << 10;
/// The authority is none: the socket says who is asked.
const METHOD: &str = "http://localhost/SpiffeWorkloadAPI/FetchJWTSVID";
/// A flag and the length in four bytes come before each message.
const PREFIX: usize = 5;

/// Why the agent gave no token.
#[derive(Debug, thiserror::Error)]
pub enum SpiffeError {
    /// Its address is none.
    #[error(
        "{0:?} is no address of a workload API: expected unix:///PATH, or tcp:// with a loopback address and a port"
    )]
    Address(Box<str>),
    /// It is not there.
    #[error("no agent answers at {address}")]
    Unreachable {
        /// Where.
        address: Box<str>,
        /// What the system said.
        source: std::io::Error,
    },
    /// It does not speak the protocol.
    #[error("the agent's answer breaks off")]
    Broken(#[from] h2::Error),
    /// It takes too long.
    #[error("the agent did not answer within {} s", TIMEOUT.as_secs())]
    TimedOut,
    /// It has nothing to say about this program.
    #[error("the agent refused with gRPC status {status}: {words}")]
    Refused {
        /// Its code.
        status: Box<str>,
        /// Its words.
        words: Box<str>,
    },
    /// Something else than the answer to this call.
    #[error("the agent answered something else than a JWT-SVID")]
    NoToken,
}

#[derive(Clone, PartialEq, Message)]
struct JwtSvidRequest {
    #[prost(string, repeated, tag = "1")]
    audience: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct JwtSvidResponse {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<JwtSvid>,
}

#[derive(Clone, PartialEq, Message)]
struct JwtSvid {
    #[prost(string, tag = "2")]
    svid: String,
}

/// Asks the agent at `address` for a token made for that audience; of several identities it gives the first.
///
/// # Errors
/// See [`SpiffeError`].
pub(super) async fn token(address: &str, audience: &str) -> Result<Zeroizing<String>, SpiffeError> {
    let not_one = || SpiffeError::Address(http::readable(address));
    let unreachable = |source| SpiffeError::Unreachable { address: http::readable(address), source };
    let url = Url::parse(address).map_err(|_| not_one())?;
    let asked = async {
        match url.scheme() {
            "unix" if url.host().is_none() && url.query().is_none() && url.fragment().is_none() => {
                let path = percent_encoding::percent_decode_str(url.path()).decode_utf8();
                let path =
                    path.ok().filter(|path| path.starts_with('/') && path.len() > 1).ok_or_else(not_one)?;
                call(UnixStream::connect(&*path).await.map_err(unreachable)?, audience).await
            }
            "tcp" => {
                let authority = url.as_str().trim_start_matches("tcp://").trim_end_matches('/');
                let socket: SocketAddr = authority.parse().map_err(|_| not_one())?;
                if !socket.ip().is_loopback() {
                    return Err(not_one());
                }
                call(TcpStream::connect(socket).await.map_err(unreachable)?, audience).await
            }
            _ => Err(not_one()),
        }
    };
    tokio::time::timeout(TIMEOUT, asked).await.unwrap_or(Err(SpiffeError::TimedOut))
}

async fn call<S>(stream: S, audience: &str) -> Result<Zeroizing<String>, SpiffeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = h2::client::Builder::new();
    builder.max_header_list_size(MAX_HEADERS).enable_push(false);
    let (sender, connection) = builder.handshake::<_, Bytes>(stream).await?;
    // Ends with this call, however that ends.
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        let _ = connection.await;
    });
    let request = ::http::Request::post(METHOD)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("workload.spiffe.io", "true")
        .body(())
        .map_err(|_| SpiffeError::NoToken)?;
    let (response, mut body) = sender.ready().await?.send_request(request, false)?;
    body.send_data(framed(&JwtSvidRequest { audience: vec![audience.to_owned()] }), true)?;
    let (head, mut body) = response.await?.into_parts();
    let mut answer = Zeroizing::new(Vec::new());
    while let Some(part) = body.data().await {
        let part = part?;
        if answer.len().saturating_add(part.len()) > MAX_ANSWER {
            return Err(SpiffeError::NoToken);
        }
        answer.extend_from_slice(&part);
        body.flow_control().release_capacity(part.len())?;
    }
    // A call that gives no message may have its status in the head.
    let trailers = body.trailers().await?.unwrap_or(head.headers);
    let said = |name: &str| trailers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let status = said("grpc-status").ok_or(SpiffeError::NoToken)?;
    if status != "0" {
        let words = said("grpc-message").unwrap_or_default();
        let words = percent_encoding::percent_decode_str(&words).decode_utf8_lossy();
        return Err(SpiffeError::Refused { status: http::readable(&status), words: http::readable(&words) });
    }
    svid(&answer).ok_or(SpiffeError::NoToken)
}

fn framed(message: &impl Message) -> Bytes {
    let encoded = message.encode_to_vec();
    let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0][..], &length, &encoded].concat().into()
}

/// The first token of one message, not compressed.
fn svid(answer: &[u8]) -> Option<Zeroizing<String>> {
    let ([0, length @ ..], message) = answer.split_first_chunk::<PREFIX>()? else { return None };
    if usize::try_from(u32::from_be_bytes(*length)) != Ok(message.len()) {
        return None;
    }
    let first = JwtSvidResponse::decode(message).ok()?.svids.into_iter().next()?;
    Some(Zeroizing::new(first.svid)).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests;
