use super::*;
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::Mutex,
};

/// An object store in which nothing is; and what it was asked for.
fn empty_store() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut request, mut some) = (Vec::new(), [0; 1024]);
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut some) {
                    Ok(n) if n > 0 => request.extend_from_slice(&some[..n]),
                    _ => break,
                }
            }
            let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
            requests.lock().unwrap().push(line);
            let nothing = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(nothing);
        }
    });
    (port, asked)
}

fn config(dir: &std::path::Path, store: &str) -> Config {
    let path = dir.join("sealogd.toml");
    let text = format!(
        "data_dir = \"data\"\nplain_keys = true\n\
         [rekor]\nlisten = \"127.0.0.1:0\"\nurl = \"http://localhost:1\"\n{store}"
    );
    std::fs::write(&path, text).unwrap();
    Config::load(&path).unwrap()
}

/// Of a log that others have made, only the key was brought along, and the store's name is wrong: a second log under this
/// key would be a fork.
#[test]
fn no_log_is_made_in_a_store_beside_a_key_that_was_brought_along() {
    let (dir, (port, asked)) = (tempfile::tempdir().unwrap(), empty_store());
    let store = format!(
        "[rekor.store]\nurl = \"s3://logs/one\"\noptions = {{ endpoint = \"http://127.0.0.1:{port}\", \
         region = \"r\", allow_http = \"true\", skip_signature = \"true\" }}\n"
    );
    let config = config(dir.path(), &store);
    let instance = Instance::create(&config, Clock::system()).unwrap();
    let period = config.rekor.as_ref().unwrap().periods().remove(0);
    let state = || state_of_log(&instance, &period, &period.kept(&instance).unwrap());
    // Without the key it is simply new.
    assert_eq!(state().unwrap(), Made::New);

    instance.keys.make(period.name, KeyKind::Ed25519).unwrap();
    let refused = rekor::init(&instance, &period).unwrap_err().to_string();
    assert!(refused.contains("no log in s3://logs/one: correct `url`"), "{refused}");
    assert!(!instance.keys.path(period.name, "seen").exists());
    let asked = asked.lock().unwrap();
    assert!(!asked.is_empty() && asked.iter().all(|line| line.starts_with("HEAD ")), "{asked:?}");
}

/// Nobody else makes a log in a directory of this machine: the key was left by an `init` that was interrupted.
#[test]
fn an_interrupted_init_is_gone_on_with_in_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), "");
    let instance = Instance::create(&config, Clock::system()).unwrap();
    let period = config.rekor.as_ref().unwrap().periods().remove(0);
    instance.keys.make(period.name, KeyKind::Ed25519).unwrap();
    assert_eq!(rekor::init(&instance, &period).unwrap(), Made::New);
    assert_eq!(rekor::init(&instance, &period).unwrap(), Made::Existing);
}
