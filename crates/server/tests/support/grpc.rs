//! A client of gRPC, made of HTTP/2 and bytes.
#![allow(dead_code, reason = "each test needs a part of it")]

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};

/// A connection of HTTP/2 with a service.
pub(crate) struct Grpc(pub(crate) SendRequest<Bytes>);

/// What came back of a call.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

impl Called {
    pub(crate) fn code(&self) -> &str {
        let end = self.trailers.get("grpc-status").or_else(|| self.headers.get("grpc-status"));
        end.map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(crate) fn words(&self) -> &str {
        self.headers.get("grpc-message").map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn message(&self) -> &[u8] {
        assert_eq!((self.status, self.code()), (200, "0"), "{self:?}");
        assert_eq!(self.headers["content-type"], "application/grpc");
        assert_eq!(self.body[0], 0);
        assert_eq!(self.body[1..5], u32::try_from(self.body.len() - 5).unwrap().to_be_bytes());
        &self.body[5..]
    }

    #[track_caller]
    pub(crate) fn refused(&self, code: &str, words: &str) {
        assert_eq!((self.status, self.code()), (200, code), "{self:?}");
        assert!(self.words().starts_with(words), "expected {words:?}, found {:?}", self.words());
    }
}

impl Grpc {
    /// With whatever has this URL.
    pub(crate) async fn at(url: &str) -> Self {
        let stream = tokio::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Self(send)
    }

    pub(crate) async fn call(&self, path: &str, message: &[u8]) -> Called {
        self.call_with(path, message, &[]).await
    }

    pub(crate) async fn call_with(&self, path: &str, message: &[u8], metadata: &[(&str, &str)]) -> Called {
        self.send(path, framed(message), metadata).await.unwrap()
    }

    pub(crate) async fn send(
        &self,
        path: &str,
        body: Vec<u8>,
        metadata: &[(&str, &str)],
    ) -> Result<Called, h2::Error> {
        let mut request = Request::post(format!("http://localhost{path}"))
            .header("te", "trailers")
            .header("content-type", "application/grpc");
        for (name, value) in metadata {
            request = request.header(*name, *value);
        }
        let (answer, mut stream) =
            self.0.clone().ready().await?.send_request(request.body(()).unwrap(), false)?;
        // A server may refuse before it has read everything.
        let _ = stream.send_data(body.into(), true);
        let (parts, mut incoming) = answer.await?.into_parts();
        let mut body = Vec::new();
        while let Some(data) = incoming.data().await {
            let data = data?;
            incoming.flow_control().release_capacity(data.len())?;
            body.extend_from_slice(&data);
        }
        let trailers = incoming.trailers().await?.unwrap_or_default();
        Ok(Called { status: parts.status.as_u16(), headers: parts.headers, body, trailers })
    }
}

pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

/// A field of bytes: text, bytes, or a message.
pub(crate) fn field(number: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 127 {
        out.push(u8::try_from(length & 127).unwrap() | 128);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    out.extend_from_slice(bytes);
    out
}

/// The fields of bytes of a message, and the numbers of all.
pub(crate) fn fields(mut message: &[u8]) -> Vec<(u8, Vec<u8>)> {
    fn varint(message: &mut &[u8]) -> usize {
        let mut value = 0;
        for shift in 0.. {
            let byte = message[0];
            *message = &message[1..];
            value |= usize::from(byte & 127) << (7 * shift);
            if byte < 128 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let number = u8::try_from(tag >> 3).unwrap();
        let length = varint(&mut message);
        match tag & 7 {
            0 => found.push((number, vec![u8::try_from(length).unwrap()])),
            2 => {
                found.push((number, message[..length].to_vec()));
                message = &message[length..];
            }
            other => panic!("wire type {other}"),
        }
    }
    found
}
