//! An agent on a Unix socket, as the workload API has it, and others that answer something else.

use super::*;
use std::sync::{Arc, Mutex};
use tokio::net::UnixListener;

/// What the agent does with a call.
#[derive(Clone)]
enum Agent {
    Gives(Vec<u8>),
    Refuses(&'static str, &'static str),
    HangsUp,
}

type Heard = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

async fn agent(agent: Agent) -> (String, tempfile::TempDir, Heard) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("an agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let heard = Heard::default();
    let hears = Arc::clone(&heard);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let (hears, agent) = (Arc::clone(&hears), agent.clone());
            tokio::spawn(async move {
                let (head, mut body) = request.into_parts();
                let mut bytes = Vec::new();
                while let Some(Ok(part)) = body.data().await {
                    bytes.extend_from_slice(&part);
                }
                let marked = head.headers["workload.spiffe.io"].to_str().unwrap().to_owned();
                hears.lock().unwrap().push((format!("{} {marked}", head.uri.path()), bytes));
                let answer = ::http::Response::builder().header("content-type", "application/grpc");
                match agent {
                    Agent::Gives(message) => {
                        let mut body = respond.send_response(answer.body(()).unwrap(), false).unwrap();
                        body.send_data(message.into(), false).unwrap();
                        let mut trailers = ::http::HeaderMap::new();
                        trailers.insert("grpc-status", "0".parse().unwrap());
                        body.send_trailers(trailers).unwrap();
                    }
                    Agent::Refuses(status, words) => {
                        let answer = answer.header("grpc-status", status).header("grpc-message", words);
                        respond.send_response(answer.body(()).unwrap(), true).unwrap();
                    }
                    Agent::HangsUp => respond.send_reset(h2::Reason::INTERNAL_ERROR),
                }
            });
        }
    });
    (format!("unix://{}", path.display()), dir, heard)
}

fn answer(svids: &[&str]) -> Vec<u8> {
    let svids = svids.iter().map(|svid| JwtSvid { svid: (*svid).to_owned() }).collect();
    framed(&JwtSvidResponse { svids }).to_vec()
}

async fn ask(asked: Agent) -> Result<String, SpiffeError> {
    let (address, _dir, _) = agent(asked).await;
    token(&address, "sigstore").await.map(|text| text.to_string())
}

#[tokio::test]
async fn the_first_identity_is_given_to_who_asks_as_the_api_has_it() {
    let (address, _dir, heard) = agent(Agent::Gives(answer(&["a.b.c", "d.e.f"]))).await;
    assert_eq!(token(&address, "sigstore").await.unwrap().as_str(), "a.b.c");
    let heard = heard.lock().unwrap().clone();
    // The frame's prefix, then field 1 as text.
    let message = [&[0, 0, 0, 0, 10, 0x0a, 8][..], b"sigstore"].concat();
    assert_eq!(heard, [("/SpiffeWorkloadAPI/FetchJWTSVID true".to_owned(), message)]);
}

#[tokio::test]
async fn fields_that_are_not_ours_are_read_over() {
    // spiffe_id = 1, svid = 2, hint = 3, as the agent of SPIRE writes them.
    let svid = [&[0x0a, 2][..], b"id", &[0x12, 5], b"a.b.c", &[0x1a, 1], b"h"].concat();
    let message = [&[0x0a, u8::try_from(svid.len()).unwrap()][..], &svid].concat();
    let framed = [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()][..], &message].concat();
    assert_eq!(ask(Agent::Gives(framed)).await.unwrap(), "a.b.c");
}

#[tokio::test]
async fn what_is_no_token_is_an_error() {
    let refused = ask(Agent::Refuses("7", "no%20identity issued")).await.unwrap_err();
    assert_eq!(refused.to_string(), "the agent refused with gRPC status 7: no identity issued");
    assert!(matches!(ask(Agent::HangsUp).await, Err(SpiffeError::Broken(_))));
    let long = "x".repeat(MAX_ANSWER);
    let mut compressed = answer(&["a.b.c"]);
    compressed[0] = 1;
    for message in [
        answer(&[]),
        answer(&[""]),
        answer(&[&long]),
        compressed,
        vec![0, 0, 0],
        answer(&["a"])[..6].to_vec(),
    ] {
        let refused = ask(Agent::Gives(message)).await;
        assert!(matches!(refused, Err(SpiffeError::NoToken)), "{refused:?}");
    }
}

#[tokio::test]
async fn only_this_machine_is_asked() {
    for address in [
        "",
        "/tmp/api.sock",
        "unix://host/api.sock",
        "unix:///",
        "unix:relative.sock",
        "unix:///tmp/api.sock?x",
        "unix:///tmp/api.sock#x",
        "unix:///%ff",
        "tcp://192.0.2.1:80",
        "tcp://localhost:80",
        "tcp://127.0.0.1",
        "https://127.0.0.1:80",
    ] {
        let refused = token(address, "sigstore").await;
        assert!(matches!(refused, Err(SpiffeError::Address(_))), "{address}: {refused:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    let nobody = token(&format!("unix://{}/none.sock", dir.path().display()), "sigstore").await.unwrap_err();
    assert!(nobody.to_string().starts_with("no agent answers at unix:///"), "{nobody}");
}
