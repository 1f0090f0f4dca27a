//! A log of signatures ends and another takes over: what was signed before and after verifies with one trusted root.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use sealog_server::{
    clock::Clock,
    config::Config,
    dev,
    oidc::{DevToken, dev_token},
    run::{Running, Sockets},
    setup,
};
use sealog_testkit::Reserved;
use serde_json::Value;
use std::{fs, path::Path, process::Command};

const SIGNER: &str = "ann@example.org";

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Runs the program; its standard output and exit status.
fn sealog(home: &Path, args: &[&str]) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealog"));
    let output = command.args(args).current_dir(home).env_clear().output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.code())
}

fn sign(home: &Path, config: &Config, file: &str) {
    fs::write(home.join(file), file).unwrap();
    let asked = DevToken::Email(SIGNER.to_owned());
    let token = dev_token(config, &Clock::system(), &asked, "sigstore").unwrap();
    let (said, status) = sealog(home, &["sign", file, "--trust", "dev/client", "--identity-token", &token]);
    assert_eq!(status, Some(0), "{said}");
}

/// Of the log that the file's signature is in.
fn log_of(home: &Path, file: &str) -> Value {
    let bundle = read(&home.join(format!("{file}.sigstore.json")));
    bundle["verificationMaterial"]["tlogEntries"][0]["logId"]["keyId"].clone()
}

async fn post(url: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.post(format!("{url}/api/v2/log/entries")).body("{}").send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_in_a_log_and_in_its_successor_verify() {
    let home = tempfile::tempdir().unwrap();
    let (home, dir) = (home.path(), home.path().join("dev"));
    // Of `dev`, which comes back to them, and of the successor.
    let ports: [Reserved; 6] = Reserved::in_a_row();
    let (config, sockets) = dev::prepare(&dir, ports[0].port(), Clock::system()).unwrap();
    let running = Running::start(&config, Clock::system(), sockets).await.unwrap();
    let services = running.ready().services.clone();
    let (issuer, first) = (services["oidc"].to_string(), services["rekor"].to_string());
    sign(home, &config, "before.txt");
    running.stop().await;

    // The first one ends now, and the other begins.
    let port = ports[5].port();
    let now = sealog_bundle::UnixTime::from_seconds(Clock::system().unix_seconds()).to_string();
    let path = dev::config_path(&dir);
    let text =
        fs::read_to_string(&path).unwrap().replace("[rekor]\n", &format!("[rekor]\nend = \"{now}\"\n"));
    let second = format!("http://127.0.0.1:{port}");
    let shard = format!(
        "\n[[rekor.shards]]\nname = \"rekor-2\"\nstart = \"{now}\"\nlisten = \"127.0.0.1:{port}\"\nurl = \"{second}\"\n"
    );
    fs::write(&path, text + &shard).unwrap();
    let config = Config::load(&path).unwrap();
    setup::init(&config, Clock::system()).unwrap();
    let running = Running::start(&config, Clock::system(), Sockets::new()).await.unwrap();
    sign(home, &config, "after.txt");
    assert_eq!((post(&first).await, post(&second).await), (405, 400));
    running.stop().await;

    let root = read(&dir.join("client/trusted_root.json"));
    let logs = root["tlogs"].as_array().unwrap();
    let key_ids = [0, 1].map(|n| logs[n]["logId"]["keyId"].clone());
    assert_eq!((logs.len(), &logs[1]["baseUrl"]), (2, &Value::from(second)));
    assert_eq!([log_of(home, "before.txt"), log_of(home, "after.txt")], key_ids);
    let verify = |file: &str, root: &Value| {
        fs::write(home.join("root.json"), root.to_string()).unwrap();
        let who = ["--identity", SIGNER, "--issuer", &issuer, "--trusted-root", "root.json"];
        sealog(home, &[&["verify", file][..], &who].concat())
    };
    for file in ["before.txt", "after.txt"] {
        let (said, status) = verify(file, &root);
        assert_eq!(status, Some(0), "{said}");
    }
    // Each by its own log, at its own time.
    for (n, [stays, goes]) in
        [["after.txt", "before.txt"], ["before.txt", "after.txt"]].into_iter().enumerate()
    {
        let mut one = root.clone();
        one["tlogs"].as_array_mut().unwrap().remove(n);
        assert_eq!(verify(stays, &one).1, Some(0));
        assert_eq!(verify(goes, &one).1, Some(1));
        let mut over = root.clone();
        over["tlogs"][n]["publicKey"]["validFor"]["end"] = Value::from("2020-01-01T00:00:00Z");
        assert_eq!(verify(stays, &over).1, Some(0));
        let (said, status) = verify(goes, &over);
        assert_eq!(status, Some(1), "{said}");
    }
}
