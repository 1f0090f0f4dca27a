//! The life of a log as its operator lives it: copies, backups, a successor, the end.

use super::{
    grpc::Grpc,
    harness::Sealog,
    openssl::Key,
    operator::{Daemon, DevPorts, post, said, sealogd},
};
use sealog_testkit::Reserved;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

const ENTRIES: &str = "/api/v2/log/entries";
const FROZEN: &str = "This log has been frozen, please switch to the latest log.";

/// A `dev` instance that was stopped, with so many entries of ours.
struct Stopped {
    dir: tempfile::TempDir,
    /// Its services come back to them again and again.
    _ports: DevPorts,
}

impl Stopped {
    fn with(entries: usize) -> Self {
        let (dir, ports) = (tempfile::tempdir().unwrap(), Reserved::in_a_row());
        let daemon = Daemon::dev_on(&ports, &dir.path().join("dev"));
        add(&daemon, 0..entries);
        stopped(daemon);
        Self { dir, _ports: ports }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn dev(&self) -> PathBuf {
        self.path("dev")
    }

    fn config(&self) -> String {
        self.dev().join("sealog.toml").to_str().unwrap().to_owned()
    }

    /// While it runs.
    fn running<T>(&self, act: impl FnOnce(&Daemon) -> T) -> T {
        let daemon = Daemon::dev(&self.dev());
        let done = act(&daemon);
        stopped(daemon);
        done
    }

    fn sealogd(&self, command: &str, more: &[&str]) -> Output {
        let config = self.config();
        sealogd(&[&[command, "--config", &config], more].concat())
    }

    fn done(&self, command: &str, more: &[&str]) -> String {
        let output = self.sealogd(command, more);
        said(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    }
}

fn stopped(daemon: Daemon) {
    daemon.signal("-TERM");
    let (code, _, text) = daemon.ended();
    assert_eq!(code, Some(0), "{text}");
}

fn add(daemon: &Daemon, entries: std::ops::Range<usize>) -> Vec<Value> {
    let url = format!("{}{ENTRIES}", daemon.url("rekor"));
    let log = |n| {
        let (status, entry) =
            post(&url, Key::p256().log_request(format!("artifact {n}").as_bytes()).to_string());
        assert_eq!(status, 201, "{entry}");
        entry
    };
    entries.map(log).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_log_is_exported_imported_and_goes_on() {
    let stopped = Stopped::with(2);
    let checked = stopped.done("fsck", &[]);
    assert!(checked.contains("; 3 committed, 3 remembered beside the key\n"), "{checked}");
    // Not while it runs.
    let other = stopped.path("other");
    let words =
        stopped.running(|_| said(&stopped.sealogd("export", &["--log", "rekor", "--to", text(&other)]), 3));
    assert!(words.contains("in use by another process"), "{words}");
    let copy = stopped.path("copy");
    let done = stopped.done("export", &["--log", "rekor", "--to", text(&copy)]);
    assert!(done.starts_with("rekor: 3 entries copied from "), "{done}");
    let log = stopped.dev().join("data/rekor");
    assert_eq!(
        fs::read(copy.join("public/tile/entries/000.p/3")).unwrap(),
        fs::read(log.join("public/tile/entries/000.p/3")).unwrap()
    );
    // Nothing is copied over a log.
    let again = ["--log", "rekor", "--to", text(&copy)];
    let words = said(&stopped.sealogd("export", &again), 2);
    assert!(
        words.contains("there is already a log in") && words.contains("hint: nothing is copied"),
        "{words}"
    );
    let words = said(&stopped.sealogd("import", &["--log", "rekor", "--from", text(&copy)]), 2);
    assert!(
        words.contains("there is already a log in") && words.contains("hint: nothing is copied"),
        "{words}"
    );
    let words = said(&stopped.sealogd("export", &["--log", "ctlog-9", "--to", text(&copy)]), 2);
    assert!(words.contains("no log `ctlog-9` in the configuration: it has rekor, ctlog"), "{words}");

    // Where it was it is read, and takes no more; nor is a second copy made of it.
    let moved = format!("takes no more entries: it was moved to {}", copy.display());
    for (command, more) in [("run", &[][..]), ("export", &["--log", "rekor", "--to", text(&other)][..])] {
        let words = said(&stopped.sealogd(command, more), 2);
        assert!(words.contains(&moved) && words.contains("hint: run the log where it went"), "{words}");
    }
    let checked = stopped.done("fsck", &[]);
    assert!(checked.contains(&format!("; it takes no more entries: it was moved to {}", copy.display())));

    // Then in its place.
    fs::rename(&log, stopped.path("gone")).unwrap();
    stopped.done("import", &["--log", "rekor", "--from", text(&copy)]);
    let index = stopped.running(|daemon| add(daemon, 5..6)[0]["logIndex"].clone());
    assert_eq!(index, "3");
    // The copy is behind now, and is not taken for the log again.
    fs::remove_dir_all(&log).unwrap();
    let words = said(&stopped.sealogd("import", &["--log", "rekor", "--from", text(&copy)]), 1);
    assert!(words.contains("expected a log of at least 4 entries, found a log of 3 entries"), "{words}");
}

/// The machine dies with the last half second of what the key remembers.
#[test]
fn after_a_kill_a_restore_asks_what_others_have_seen() {
    let stopped = Stopped::with(1);
    let (log, lost, old) = (stopped.dev().join("data/rekor"), stopped.path("lost"), stopped.path("old"));
    stopped.done("backup", &["--to", text(&old)]);
    let daemon = Daemon::dev(&stopped.dev());
    let entry = add(&daemon, 1..2).remove(0);
    let published = || fs::read_to_string(log.join("public/checkpoint")).unwrap();
    while published().lines().nth(1) != Some("3") {
        std::thread::sleep(Duration::from_millis(20));
    }
    daemon.signal("-KILL");
    daemon.ended();
    fs::create_dir(&lost).unwrap();
    fs::rename(&log, lost.join("rekor")).unwrap();
    // As if it had been a moment earlier.
    fs::copy(old.join("rekor/public/checkpoint"), stopped.dev().join("keys/rekor.seen")).unwrap();

    for from in [&old, &lost] {
        let words = said(&stopped.sealogd("restore", &["--from", text(from), "--log", "rekor"]), 1);
        assert!(
            words.contains("may have signed more than is remembered beside it: the process that signed in ")
                && words.contains("keys/rekor.running)")
                && words.contains("hint: if that place is still there, start the log there"),
            "{words}"
        );
        assert!(!log.exists());
    }
    // The bundle of the newest signature has what is needed.
    let bundle = stopped.path("newest.sigstore.json");
    let newest = serde_json::json!({ "verificationMaterial": { "tlogEntries": [entry] } });
    fs::write(&bundle, newest.to_string()).unwrap();
    let with = |from: &Path, newest: &Path| {
        let more = ["--from", text(from), "--log", "rekor", "--newest-checkpoint", text(newest)];
        stopped.sealogd("restore", &more)
    };
    let words = said(&with(&old, &bundle), 1);
    assert!(words.contains("the copy has 2 entries, but the key of localhost has signed 3 ("), "{words}");
    assert!(words.contains("newest.sigstore.json)"), "{words}");
    let words = said(&with(&lost, &stopped.dev().join("data/ctlog/public/checkpoint")), 1);
    assert!(words.contains("restoring rekor"), "{words}");
    fs::write(stopped.path("no.json"), "{}").unwrap();
    fs::write(stopped.path("no.text"), "my release\n").unwrap();
    let none = "there is no checkpoint of localhost in ";
    for (given, expected) in [("no.json", none), ("no.text", none), ("no.file", "reading ")] {
        let words = said(&with(&lost, &stopped.path(given)), 2);
        assert!(
            words.contains(expected) && words.contains("hint: give a file with the log's checkpoint"),
            "{words}"
        );
    }
    said(&stopped.sealogd("restore", &["--from", text(&lost), "--newest-checkpoint", text(&bundle)]), 2);

    said(&with(&lost, &bundle), 0);
    let index = stopped.running(|daemon| add(daemon, 7..8)[0]["logIndex"].clone());
    assert_eq!(index, "3");
    assert!(!stopped.dev().join("keys/rekor.running").exists());
}

#[test]
fn a_backup_comes_back_unless_the_key_has_signed_more() {
    let stopped = Stopped::with(1);
    let backup = stopped.path("backup");
    let output = stopped.running(|_| stopped.sealogd("backup", &["--to", text(&backup)]));
    let words = said(&output, 0);
    assert!(words.contains("the keys in ") && words.contains(" are not in it"), "{words}");
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.starts_with("rekor: 2 entries, 0 of them before, "), "{lines}");
    assert!(lines.contains("\nctlog: 0 entries, "), "{lines}");
    stopped.running(|daemon| add(daemon, 1..4));

    let words = said(&stopped.sealogd("restore", &["--from", text(&backup)]), 2);
    assert!(words.contains("there is a log in each of its places already"), "{words}");
    let log = stopped.dev().join("data/rekor");
    fs::rename(&log, stopped.path("dead")).unwrap();
    let words = said(&stopped.sealogd("restore", &["--from", text(&backup)]), 1);
    assert!(
        words.contains("the copy has 2 entries, but the key of localhost has signed 5 (")
            && words.contains("rekor.seen)")
            && words.contains("docs/operations/logs.md"),
        "{words}"
    );
    assert!(!log.exists());
    fs::rename(stopped.path("dead"), &log).unwrap();
    let lines = stopped.done("backup", &["--to", text(&backup)]);
    assert!(lines.starts_with("rekor: 5 entries, 2 of them before, "), "{lines}");
    let lines = stopped.done("fsck", &["--backup", text(&backup)]);
    assert!(lines.starts_with("localhost: 5 entries, "), "{lines}");

    // The whole disk, but for the keys and the configuration.
    let keys = stopped.dev().join("keys");
    for name in ["rekor", "ctlog", "instance.toml"] {
        let path = stopped.dev().join("data").join(name);
        match path.is_dir() {
            true => fs::remove_dir_all(&path).unwrap(),
            false => fs::remove_file(&path).unwrap(),
        }
    }
    assert!(keys.join("rekor.seen").exists());
    let lines = stopped.done("restore", &["--from", text(&backup)]);
    assert!(lines.starts_with("rekor: 5 entries put back to "), "{lines}");
    let index = stopped.running(|daemon| add(daemon, 9..10)[0]["logIndex"].clone());
    assert_eq!(index, "5");

    // Damage in the backup is found before anything is put back.
    fs::remove_dir_all(&log).unwrap();
    let memory = fs::read(keys.join("rekor.seen")).unwrap();
    fs::write(keys.join("rekor.seen"), fs::read(backup.join("rekor/public/checkpoint")).unwrap()).unwrap();
    let bundle = backup.join("rekor/public/tile/entries/000.p/5");
    let mut bytes = fs::read(&bundle).unwrap();
    bytes[100] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    let words = said(&stopped.sealogd("restore", &["--from", text(&backup)]), 1);
    assert!(words.contains("tile/entries/000.p/5: entry 0, bytes 0 to "), "{words}");
    assert!(!log.join("format").exists());
    fs::write(keys.join("rekor.seen"), memory).unwrap();
}

/// What can be done when the newest entries are lost for good: the log is read as far as it is there, and never goes on.
#[test]
fn a_log_that_lost_entries_is_frozen_and_read_without_its_key() {
    let stopped = Stopped::with(1);
    let backup = stopped.path("backup");
    stopped.done("backup", &["--to", text(&backup)]);
    stopped.running(|daemon| add(daemon, 1..3));
    let log = stopped.dev().join("data/rekor");
    fs::remove_dir_all(&log).unwrap();
    let config = fs::read_to_string(stopped.config()).unwrap();
    let (before, behind) = config.split_once("[rekor]\n").unwrap();
    fs::write(stopped.config(), format!("{before}[rekor]\nend = \"2026-01-01T00:00:00Z\"\n{behind}"))
        .unwrap();
    stopped.done("restore", &["--from", text(&backup)]);
    fs::remove_file(stopped.dev().join("keys/rekor.key")).unwrap();
    let lines = stopped.done("check", &[]);
    assert!(lines.contains("; it takes no more\n"), "{lines}");
    let daemon = Daemon::start(&["run", "--config", &stopped.config()]);
    let url = daemon.url("rekor");
    let request = Key::p256().log_request(b"late").to_string();
    let (status, words) = post_text(&format!("{url}{ENTRIES}"), request);
    assert_eq!((status, words.as_str()), (405, format!("{FROZEN}\n").as_str()));
    let read = sealogd(&["fsck", "--url", &url]);
    said(&read, 0);
    assert!(String::from_utf8(read.stdout).unwrap().starts_with("localhost: 2 entries, "));
    daemon.signal("-TERM");
    assert_eq!(daemon.ended().0, Some(0));
    // With the key and without an end it is what it is: older than what was signed.
    fs::write(stopped.config(), config).unwrap();
    let output = stopped.sealogd("fsck", &[]);
    let words = said(&output, 1);
    assert!(words.contains("expected a log of at least 4 entries, found a log of 2 entries"), "{words}");
}

/// Killed between an acknowledgement and the files, and not started again before its end.
#[test]
fn what_was_acknowledged_before_the_end_is_published_at_the_next_start() {
    let stopped = Stopped::with(1);
    let daemon = Daemon::dev(&stopped.dev());
    add(&daemon, 1..8);
    daemon.signal("-KILL");
    daemon.ended();
    let log = stopped.dev().join("data/rekor");
    let published = fs::read_to_string(log.join("public/checkpoint")).unwrap();
    // Had it been fast enough to write its files, this says nothing; it is as if it had not been.
    let config = fs::read_to_string(stopped.config()).unwrap();
    fs::write(stopped.config(), config.replace("[rekor]\n", "[rekor]\nend = \"2026-01-01T00:00:00Z\"\n"))
        .unwrap();
    let daemon = Daemon::start(&["run", "--config", &stopped.config()]);
    let (status, words) = post_text(&format!("{}{ENTRIES}", daemon.url("rekor")), "{}".to_owned());
    assert_eq!((status, words), (405, format!("{FROZEN}\n")));
    let read = sealogd(&["fsck", "--url", &daemon.url("rekor")]);
    let text = String::from_utf8(read.stdout).unwrap();
    assert!(text.starts_with("localhost: 9 entries, "), "{text}, published before: {published}");
    daemon.signal("-TERM");
    assert_eq!(daemon.ended().0, Some(0));
}

fn post_text(url: &str, body: String) -> (u16, String) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client.post(url).body(body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    })
}

#[tokio::test]
async fn frozen_logs_are_read_and_say_so_to_who_writes() {
    let end = "end = \"2026-01-01T00:00:00Z\"\n";
    let sealog = Sealog::start_prepared(tempfile::tempdir().unwrap(), "", end, |path| {
        let text = fs::read_to_string(path).unwrap();
        fs::write(path, text.replace("[ctlog]\n", &format!("[ctlog]\n{end}"))).unwrap();
    })
    .await;
    let request = Key::p256().log_request(b"an artifact").to_string();
    let answer = sealog.post("rekor", ENTRIES, request).await;
    assert_eq!((answer.status, answer.text()), (405, format!("{FROZEN}\n").as_str()));
    let grpc = Grpc::with(&sealog, "rekor").await;
    grpc.call("/dev.sigstore.rekor.v2.Rekor/CreateEntry", &[]).await.refused("12", FROZEN);
    let checkpoint = sealog.get("rekor", "/checkpoint").await;
    assert_eq!(checkpoint.status, 200);
    assert_eq!(checkpoint.text().lines().nth(1), Some("1"));
    assert_eq!(sealog.get("rekor", "/tile/entries/000.p/1").await.status, 200);
    // As CT logs do: there is no such path.
    for path in ["/ct/v1/add-chain", "/ct/v1/add-pre-chain"] {
        let answer = sealog.post("ctlog", path, "{\"chain\":[]}").await;
        answer.refused(404, 5, "this log is frozen");
    }
    assert_eq!(sealog.get("ctlog", "/checkpoint").await.status, 200);
    assert_eq!(sealog.get("ctlog", "/ct/v1/get-roots").await.status, 200);
    for service in ["rekor", "ctlog"] {
        assert_eq!(sealog.get(service, "/readyz").await.status, 200);
    }
}

/// An end that comes while the log runs.
#[tokio::test]
async fn a_log_takes_no_more_from_its_end_on() {
    let sealog = Sealog::start_with("end = \"2100-01-01T00:00:00Z\"\n").await;
    let request = |artifact: &str| Key::p256().log_request(artifact.as_bytes()).to_string();
    assert_eq!(sealog.post("rekor", ENTRIES, request("in time")).await.status, 201);
    sealog.wait(Duration::from_secs(75 * 366 * 86_400));
    let late = sealog.post("rekor", ENTRIES, request("late")).await;
    assert_eq!((late.status, late.text()), (405, format!("{FROZEN}\n").as_str()));
    assert_eq!(sealog.get("rekor", "/checkpoint").await.text().lines().nth(1), Some("2"));
}

/// From the first `init` to the day after: both logs are believed, one is written to.
#[test]
fn a_successor_is_made_ahead_and_takes_over_at_its_start() {
    let stopped = Stopped::with(1);
    let plain = fs::read_to_string(stopped.config()).unwrap();
    let kept = Reserved::new();
    let port = kept.port();
    let shard = |name: &str, url: &str, start: &str| {
        format!(
            "\n[[rekor.shards]]\nname = \"{name}\"\nstart = \"{start}\"\nlisten = \"127.0.0.1:{port}\"\nurl = \"{url}\"\n"
        )
    };
    let own = format!("http://127.0.0.1:{port}");
    // What would be refused later is refused now.
    for (name, url, expected) in [
        ("next", own.as_str(), "`name` must be `rekor-` and letters"),
        ("rekor-../2", own.as_str(), "`name` must be `rekor-` and letters"),
        ("rekor-2", "http://localhost:9", "have one origin, localhost"),
    ] {
        fs::write(stopped.config(), format!("{plain}{}", shard(name, url, "2100-01-01T00:00:00Z"))).unwrap();
        let words = said(&stopped.sealogd("check", &[]), 2);
        assert!(words.contains(expected), "{words}");
    }
    // Far enough away that a slow start is over by then.
    let now = sealog_server::clock::Clock::system().unix_seconds();
    let start = sealog_bundle::UnixTime::from_seconds(now + 10).to_string();
    fs::write(stopped.config(), format!("{plain}{}", shard("rekor-2", &own, &start))).unwrap();
    let made = said(&stopped.sealogd("init", &[]), 0);
    assert!(made.contains("rekor-2  created") && made.contains("rekor    exists, left untouched"), "{made}");

    let daemon = Daemon::start(&["run", "--config", &stopped.config()]);
    let written = |name: &str| -> Value {
        let path = Path::new(daemon.ready["client"].as_str().unwrap()).join(name);
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let old = daemon.url("rekor");
    let names = |config: &Value| config["rekorTlogUrls"].as_array().unwrap().clone();
    let first = names(&written("signing_config.json"));
    assert_eq!(
        (first.len(), &first[0]["url"], &first[0]["validFor"]["end"]),
        (1, &old.clone().into(), &start.clone().into())
    );
    let root = written("trusted_root.json");
    let believed: Vec<_> =
        root["tlogs"].as_array().unwrap().iter().map(|log| log["baseUrl"].clone()).collect();
    assert_eq!(believed, [Value::from(old.clone()), Value::from(own.clone())]);
    // Both can be written to, before and after.
    assert_eq!(daemon.url("rekor-2"), own);
    for url in [&old, &own] {
        let request = Key::p256().log_request(b"now").to_string();
        assert_eq!(post(&format!("{url}{ENTRIES}"), request).0, 201);
    }
    let begun = std::time::Instant::now();
    let second = loop {
        let second = names(&written("signing_config.json"));
        if second != first {
            break second;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "no other log has taken over");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(
        (second.len(), &second[0]["url"], &second[0]["validFor"]["start"]),
        (1, &own.into(), &start.into())
    );
    assert_eq!(written("trusted_root.json"), root);
    daemon.signal("-TERM");
    assert_eq!(daemon.ended().0, Some(0));
}
