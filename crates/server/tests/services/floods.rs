//! Floods of HTTP/2, as bytes on a socket: each ends with its own connection, and the others are answered.

use super::{
    grpc::{CHECK, Grpc, authority, framed},
    harness::Sealog,
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:method: POST`, `:scheme: http`, `:path: /`, `:authority: a` (RFC 7541).
const HEAD: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'a'];
/// Nothing here takes so long unless it is never cut off.
const LONG: Duration = Duration::from_secs(20);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags];
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A connection that says what it is told.
struct Raw(TcpStream);

impl Raw {
    async fn to(sealog: &Sealog) -> Self {
        let mut stream = TcpStream::connect(authority(sealog)).await.unwrap();
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
        Self(stream)
    }

    /// Writes until it has written everything or was cut off; whether it could write all.
    async fn flood(&mut self, frames: impl Iterator<Item = Vec<u8>>) -> bool {
        for frame in frames {
            if self.0.write_all(&frame).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Frames that came back until they are what is waited for, or the connection's end, which is said, or too long.
    async fn heard(&mut self, waited_for: impl Fn(&[Frame]) -> bool) -> (Vec<Frame>, bool) {
        let (mut frames, mut bytes) = (Vec::new(), Vec::new());
        let mut chunk = vec![0; 64 * 1024];
        while !waited_for(&frames) {
            match tokio::time::timeout(LONG, self.0.read(&mut chunk)).await {
                Err(_) => break,
                Ok(Err(_) | Ok(0)) => return (frames, true),
                Ok(Ok(length)) => bytes.extend_from_slice(&chunk[..length]),
            }
            while bytes.len() >= 9 {
                let length = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
                if bytes.len() < 9 + length {
                    break;
                }
                let rest = bytes.split_off(9 + length);
                frames.push((bytes[3], bytes.split_off(9)));
                bytes = rest;
            }
        }
        (frames, false)
    }
}

/// Its kind and what is in it.
type Frame = (u8, Vec<u8>);

fn ends(frame: &Frame) -> bool {
    matches!(frame.0, RST_STREAM | GOAWAY)
}

async fn others_are_answered(sealog: &Sealog) {
    let asked = tokio::time::timeout(LONG, async {
        Grpc::to(sealog).await.call(CHECK, &[]).await.message();
        assert_eq!(sealog.get("ca", "/healthz").await.status, 200);
    });
    asked.await.expect("others are not answered");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_the_connection_goes_on() {
    const CREATE: &str = "/dev.sigstore.fulcio.v2.CA/CreateSigningCertificate";
    let sealog = Sealog::start().await;
    let grpc = Grpc::to(&sealog).await;
    let called = grpc.send(CREATE, framed(&vec![0x0a; 5 << 20]), &[]).await.unwrap();
    assert_eq!(called.code(), "3", "{called:?}");
    // What is announced costs nothing.
    let called = grpc.send(CREATE, vec![0, 0xff, 0xff, 0xff, 0xff, 1], &[]).await.unwrap();
    assert_eq!(called.code(), "3");
    grpc.call(CHECK, &[]).await.message();
    others_are_answered(&sealog).await;
}

#[tokio::test]
async fn headers_without_end_end_the_connection() {
    let sealog = Sealog::start().await;
    // A literal that is not indexed: name `x`, value of 100 bytes.
    let one = [&[0x00, 1, b'x', 100][..], &[b'v'; 100]].concat();
    for piece in [one.repeat(100), Vec::new()] {
        let mut raw = Raw::to(&sealog).await;
        let begun = frame(HEADERS, END_STREAM, 1, HEAD);
        let more = (0..100_000).map(|_| frame(CONTINUATION, 0, 1, &piece));
        let whole = raw.flood(std::iter::once(begun).chain(more)).await;
        let (_, ended) = raw.heard(|_| false).await;
        assert!(!whole || ended, "headers are read for ever");
    }
    // A list that ends, but is too long, is refused for itself.
    let mut raw = Raw::to(&sealog).await;
    let begun = frame(HEADERS, END_STREAM, 1, HEAD);
    let more = (0..5).map(|n| frame(CONTINUATION, if n == 4 { END_HEADERS } else { 0 }, 1, &one.repeat(100)));
    raw.flood(std::iter::once(begun).chain(more)).await;
    // `:status: 431`, in Huffman's code.
    let is_431 = |(kind, head): &Frame| *kind == HEADERS && head.starts_with(&[0x48, 0x83, 0x69, 0x90, 0xff]);
    let refused = |frames: &[Frame]| frames.iter().any(|frame| ends(frame) || is_431(frame));
    let (frames, ended) = raw.heard(refused).await;
    assert!(ended || refused(&frames), "{frames:?}");
    others_are_answered(&sealog).await;
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused() {
    const REFUSED: [u8; 4] = [0, 0, 0, 7];
    let sealog = Sealog::start().await;
    let mut raw = Raw::to(&sealog).await;
    let many = (0..250).map(|n| frame(HEADERS, END_HEADERS, 2 * n + 1, &grpc_head()));
    // Frames are answered one after the other: who hears this answered has heard all there is.
    raw.flood(many.chain([frame(PING, 0, 0, &[7; 8])])).await;
    let refusals = |frames: &[Frame]| {
        frames.iter().filter(|(kind, code)| *kind == RST_STREAM && *code == REFUSED).count()
    };
    let answered = |frames: &[Frame]| frames.iter().any(|frame| *frame == (PING, vec![7; 8]));
    let (frames, _) = raw.heard(|frames| answered(frames) && refusals(frames) >= 250 - 100).await;
    let settings = frames.iter().find(|(kind, payload)| *kind == SETTINGS && !payload.is_empty());
    // SETTINGS_MAX_CONCURRENT_STREAMS is 3.
    let told = settings.unwrap().1.chunks(6).any(|one| one == [0, 3, 0, 0, 0, 100]);
    assert!(told, "{settings:?}");
    assert_eq!(refusals(&frames), 250 - 100);
    others_are_answered(&sealog).await;
}

/// HEAD of a call of gRPC, whose message is then waited for.
fn grpc_head() -> Vec<u8> {
    let path = b"/dev.sigstore.fulcio.v2.CA/CreateSigningCertificate";
    let kind = b"application/grpc";
    let mut head = vec![0x83, 0x86, 0x44, u8::try_from(path.len()).unwrap()];
    head.extend_from_slice(path);
    head.extend([0x41, 1, b'a', 0x5f, u8::try_from(kind.len()).unwrap()]);
    head.extend_from_slice(kind);
    head
}

#[tokio::test]
async fn streams_opened_and_reset_at_once_end_the_connection() {
    let sealog = Sealog::start().await;
    for head in [HEAD.to_vec(), grpc_head()] {
        let mut raw = Raw::to(&sealog).await;
        let floods = (0..50_000).map(|n| {
            let stream = 2 * n + 1;
            [frame(HEADERS, END_HEADERS, stream, &head), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        });
        let whole = raw.flood(floods).await;
        let away = |frames: &[Frame]| frames.iter().any(|(kind, _)| *kind == GOAWAY);
        let (frames, ended) = raw.heard(away).await;
        let away = away(&frames);
        assert!(!whole || ended || away, "resets are taken for ever");
        others_are_answered(&sealog).await;
    }
}

#[tokio::test]
async fn frames_that_ask_for_answers_nobody_reads_cost_no_one_else() {
    let sealog = Sealog::start().await;
    let mut readers = Vec::new();
    for kind in [PING, SETTINGS, DATA] {
        let mut raw = Raw::to(&sealog).await;
        let payload: &[u8] = if kind == PING { &[7; 8] } else { &[] };
        let stream = u32::from(kind == DATA);
        if kind == DATA {
            raw.flood(std::iter::once(frame(HEADERS, END_HEADERS, 1, &grpc_head()))).await;
        }
        let floods = (0..200_000).map(|_| frame(kind, 0, stream, payload));
        let _ = tokio::time::timeout(Duration::from_secs(3), raw.flood(floods)).await;
        others_are_answered(&sealog).await;
        readers.push(raw);
    }
}

#[tokio::test]
async fn prefaces_cut_short_cost_no_one_else() {
    let sealog = Sealog::start().await;
    let mut open = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(authority(&sealog)).await.unwrap();
        stream.write_all(&PREFACE[..n % PREFACE.len()]).await.unwrap();
        open.push(stream);
    }
    others_are_answered(&sealog).await;
}
