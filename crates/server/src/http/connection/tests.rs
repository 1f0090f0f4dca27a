//! Both protocols on one connection, and those that stop half way. Nothing here waits for anything but time, which goes on
//! when there is nothing left to do: how busy the machine is changes nothing.

use super::*;
use crate::http::stall::{LEAST_RATE, PATIENCE_FACTOR};
use bytes::Bytes;
use h2::client::SendRequest;
use std::sync::atomic::AtomicBool;
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream, duplex},
    sync::watch,
    task::JoinHandle,
};

const SHORT: Bounds = Bounds {
    head: Duration::from_millis(300),
    reader: Duration::from_millis(300),
    grace: Duration::from_millis(100),
    taken_back: 10,
    ..Bounds::SERVING
};
/// Much longer than anything here may take.
const LONG: Duration = Duration::from_secs(10);

struct Served {
    client: DuplexStream,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Bytes of an answer that is counted while it is under way, and that fits into no window.
const LARGE: usize = 100_000;

/// `/slow` answers after a second, `/never` never, the rest at once, `/large` with many bytes.
fn served(both: bool) -> Served {
    let (client, server) = duplex(64 * 1024);
    let stop = watch::Sender::new(false);
    let mut asked = stop.subscribe();
    let handler = async |request: Request<Incoming>| {
        match request.uri().path() {
            "/slow" => tokio::time::sleep(Duration::from_secs(1)).await,
            "/never" => std::future::pending().await,
            "/large" => return Response::new(Body::from(vec![b'a'; LARGE])),
            _ => {}
        }
        Response::new(Body::from(format!("{:?}", request.version())))
    };
    let handler =
        move |request| -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> { Box::pin(handler(request)) };
    let task = tokio::spawn(async move {
        let stop = async {
            let _ = asked.wait_for(|stop| *stop).await;
        };
        serve(server, both, SHORT, handler, stop).await;
    });
    Served { client, stop, task }
}

async fn ends(task: JoinHandle<()>) -> Duration {
    let begun = Instant::now();
    timeout(LONG, task).await.expect("the connection lives on").unwrap();
    begun.elapsed()
}

async fn said(client: &mut DuplexStream) -> String {
    let mut text = vec![0; 4096];
    let length = timeout(LONG, client.read(&mut text)).await.unwrap().unwrap();
    String::from_utf8_lossy(&text[..length]).into_owned()
}

async fn http2(client: DuplexStream) -> SendRequest<Bytes> {
    // An answer that waits holds up no other: the window of them all is larger than that of one.
    let (send, connection) = h2::client::Builder::new()
        .initial_connection_window_size(1 << 20)
        .handshake::<_, Bytes>(client)
        .await
        .unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    send
}

async fn get(send: &SendRequest<Bytes>, path: &str) -> Result<String, h2::Error> {
    let request = Request::get(format!("http://localhost{path}")).body(()).unwrap();
    let (answer, _) = send.clone().ready().await?.send_request(request, true)?;
    let mut body = answer.await?.into_body();
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        text.extend_from_slice(&data);
    }
    Ok(String::from_utf8(text).unwrap())
}

#[tokio::test(start_paused = true)]
async fn each_protocol_is_answered_in_its_own() {
    for both in [true, false] {
        let mut one = served(both);
        // A method that begins as the preface does, a byte at a time.
        for byte in b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n" {
            one.client.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert!(said(&mut one.client).await.contains("HTTP/1.1"));
    }
    let two = served(true);
    assert_eq!(get(&http2(two.client).await, "/").await.unwrap(), "HTTP/2.0");
    // Where no gRPC is, no HTTP/2 is.
    let mut none = served(false);
    none.client.write_all(PREFACE).await.unwrap();
    let said = said(&mut none.client).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 "), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn who_stops_half_way_is_let_go() {
    let settings: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // The head of a HEADERS frame of 16 bytes, and four of them.
    let half: &[u8] = &[0, 0, 16, 1, 4, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41];
    for begun in [
        &b""[..],
        b"P",
        b"GET / HTT",
        &PREFACE[..10],
        &PREFACE[..],
        &[PREFACE, settings].concat(),
        &[PREFACE, settings, half].concat(),
    ] {
        let mut silent = served(true);
        silent.client.write_all(begun).await.unwrap();
        let took = ends(silent.task).await;
        assert!(took >= SHORT.head && took < SHORT.head * 10, "{begun:?} {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idler_is_told_to_go_and_a_worker_is_not() {
    let two = served(true);
    let send = http2(two.client).await;
    for _ in 0..4 {
        tokio::time::sleep(SHORT.head * 2 / 3).await;
        get(&send, "/").await.unwrap();
    }
    // Longer than an idler would have.
    assert_eq!(get(&send, "/slow").await.unwrap(), "HTTP/2.0");
    assert!(ends(two.task).await >= SHORT.head / 2, "cut off right after its answer");
}

#[tokio::test(start_paused = true)]
async fn who_never_takes_an_answer_is_let_go() {
    let two = served(true);
    let (send, connection) =
        h2::client::Builder::new().initial_window_size(0).handshake::<_, Bytes>(two.client).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let request = Request::get("http://localhost/").body(()).unwrap();
    let (answer, _) = send.ready().await.unwrap().send_request(request, true).unwrap();
    let body = answer.await.unwrap();
    let took = ends(two.task).await;
    assert!(took < SHORT.head * 10, "{took:?}");
    drop(body);
}

/// Whatever else it asks for meanwhile. An answer that was taken counts no more.
#[tokio::test(start_paused = true)]
async fn who_takes_half_of_an_answer_is_let_go_and_who_takes_all_is_not() {
    let all = SHORT.reader * PATIENCE_FACTOR + Duration::from_secs(LARGE as u64 / LEAST_RATE);
    for takes_all in [true, false] {
        let two = served(true);
        let send = http2(two.client).await;
        let begun = Instant::now();
        let held = if takes_all {
            assert_eq!(get(&send, "/large").await.unwrap().len(), LARGE);
            None
        } else {
            let request = Request::get("http://localhost/large").body(()).unwrap();
            let (answer, _) = send.clone().ready().await.unwrap().send_request(request, true).unwrap();
            Some(answer.await.unwrap())
        };
        while begun.elapsed() < all * 2 && get(&send, "/").await.is_ok() {
            tokio::time::sleep(SHORT.head / 2).await;
        }
        let took = begun.elapsed();
        match takes_all {
            true => assert!(took >= all * 2, "cut off after {took:?}"),
            false => assert!(took >= all && took <= all + SHORT.head * 2, "{took:?}"),
        }
        drop(held);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_being_answered_is_answered_before_the_stop() {
    let answered = Arc::new(AtomicBool::new(false));
    let two = served(true);
    let send = http2(two.client).await;
    let seen = Arc::clone(&answered);
    let asking = tokio::spawn(async move {
        get(&send, "/slow").await.unwrap();
        seen.store(true, Relaxed);
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    two.stop.send_replace(true);
    ends(two.task).await;
    asking.await.unwrap();
    assert!(answered.load(Relaxed));
    // And who asks nothing is not waited for.
    for begun in [&b""[..], b"P", &PREFACE[..]] {
        let mut silent = served(true);
        silent.client.write_all(begun).await.unwrap();
        silent.stop.send_replace(true);
        assert!(ends(silent.task).await < SHORT.head);
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_back_what_was_asked_is_cut_off() {
    let two = served(true);
    let send = http2(two.client).await;
    for asked in 0..1000 {
        let Ok(mut ready) = send.clone().ready().await else { break };
        let request = Request::get("http://localhost/never").body(()).unwrap();
        let Ok((answer, mut stream)) = ready.send_request(request, true) else { break };
        tokio::time::sleep(Duration::from_millis(2)).await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(answer);
        assert!(asked < 100, "still served after {asked} requests taken back");
    }
    assert!(ends(two.task).await < SHORT.head);
    // One who is answered may change its mind now and then.
    let two = served(true);
    let send = http2(two.client).await;
    for _ in 0..30 {
        get(&send, "/").await.unwrap();
        let request = Request::get("http://localhost/never").body(()).unwrap();
        let (answer, mut stream) = send.clone().ready().await.unwrap().send_request(request, true).unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(answer);
    }
    get(&send, "/").await.unwrap();
}
