//! Long reads, watched and interrupted: the real program on a terminal of its own, and real signals.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Enough of a bundle for the file to be hashed; it is about another file.
const BUNDLE: &str = r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"h"},"tlogEntries":[]},"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},"signature":"AA=="}}"#;
const NOBODY: &str = r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;
/// What takes the line away.
const CLEARED: &str = "\r\u{1b}[K";

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::write(home.path().join("b.json"), BUNDLE).unwrap();
        fs::write(home.path().join("root.json"), NOBODY).unwrap();
        // A hole: long to hash, and nothing on the disk.
        File::create(home.path().join("large")).unwrap().set_len(256 << 30).unwrap();
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn pipe(&self) {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let path = self.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }

    fn verify(&self, rest: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealog"));
        command.arg("verify").args(rest.split(' '));
        command.args("--bundle b.json --identity a --issuer i --trusted-root root.json".split(' '));
        command.current_dir(self.path()).env_clear().env("TERM", "xterm").stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A program with a terminal for its standard error.
struct OnTerminal {
    child: Child,
    written: Receiver<String>,
    screen: String,
}

impl OnTerminal {
    fn run(command: &mut Command) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let other_end = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let child = command.stderr(other_end).spawn().unwrap();
        // Ours would keep the terminal open.
        command.stderr(Stdio::null());
        let (says, written) = mpsc::channel();
        let mut terminal = File::from(terminal);
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = terminal.read(&mut piece) {
                let _ = says.send(String::from_utf8_lossy(&piece[..read]).into_owned());
            }
        });
        Self { child, written, screen: String::new() }
    }

    /// Waits until the screen has shown this.
    fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + Duration::from_secs(30);
        while !self.screen.contains(text) {
            let left = until.saturating_duration_since(Instant::now());
            match self.written.recv_timeout(left) {
                Ok(more) => self.screen.push_str(&more),
                Err(_) => panic!("{text:?} never came: {:?}", self.screen),
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Standard output, everything on the screen, and the signal that ended it.
    fn end(mut self) -> (String, String, Option<i32>) {
        let output = self.child.wait_with_output().unwrap();
        while let Ok(more) = self.written.recv_timeout(Duration::from_secs(10)) {
            self.screen.push_str(&more);
        }
        (String::from_utf8(output.stdout).unwrap(), self.screen, output.status.signal())
    }
}

#[test]
fn a_long_read_is_shown_and_an_interrupt_leaves_an_empty_line() {
    let home = Home::new();
    for signal in [Signal::INT, Signal::TERM] {
        let mut running = OnTerminal::run(&mut home.verify("large"));
        running.wait_for("large  0 %  ");
        running.wait_for(" of 256.0 GiB  ");
        running.wait_for(" left");
        running.signal(signal);
        let (data, screen, ended) = running.end();
        assert_eq!((data.as_str(), ended), ("", Some(signal.as_raw())));
        assert!(screen.ends_with(CLEARED), "{screen:?}");
        assert!(!screen.contains("error") && !screen.contains('\n'), "{screen:?}");
    }
    assert_eq!(home.names(), ["b.json", "large", "root.json"]);
}

#[test]
fn a_pipe_that_says_nothing_can_be_interrupted() {
    let home = Home::new();
    home.pipe();
    let mut running = OnTerminal::run(&mut home.verify("pipe"));
    let mut writer = File::options().write(true).open(home.path().join("pipe")).unwrap();
    writer.write_all(&[0; 2048]).unwrap();
    running.wait_for("pipe  2.0 KiB  ");
    running.signal(Signal::INT);
    let (data, screen, ended) = running.end();
    assert_eq!((data.as_str(), ended), ("", Some(2)));
    assert!(screen.ends_with(CLEARED), "{screen:?}");
}

#[test]
fn the_line_is_gone_before_the_verdict() {
    let home = Home::new();
    home.pipe();
    let mut running = OnTerminal::run(&mut home.verify("pipe"));
    let mut writer = File::options().write(true).open(home.path().join("pipe")).unwrap();
    writer.write_all(b"x").unwrap();
    running.wait_for("pipe  1 B  ");
    drop(writer);
    let (data, screen, ended) = running.end();
    assert_eq!((data.as_str(), ended), ("", None));
    let (_, verdict) = screen.rsplit_once(CLEARED).unwrap();
    assert!(verdict.contains("error") && verdict.contains("`pipe` is not"), "{screen:?}");
}

#[test]
fn nothing_is_shown_to_programs_nor_where_there_is_no_terminal() {
    let home = Home::new();
    for quiet in ["large --json", "large"] {
        let mut command = home.verify(quiet);
        let output = if quiet.ends_with("--json") {
            let running = OnTerminal::run(&mut command);
            thread::sleep(Duration::from_millis(1600));
            running.signal(Signal::INT);
            running.end()
        } else {
            let child = command.spawn().unwrap();
            thread::sleep(Duration::from_millis(1600));
            kill_process(Pid::from_child(&child), Signal::INT).unwrap();
            let output = child.wait_with_output().unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            (text(output.stdout), text(output.stderr), output.status.signal())
        };
        assert_eq!(output, (String::new(), String::new(), Some(2)), "{quiet}");
    }
}

#[test]
fn signing_that_is_interrupted_leaves_nothing() {
    let home = Home::new();
    fs::create_dir(home.path().join("trust")).unwrap();
    fs::write(home.path().join("trust/trusted_root.json"), NOBODY).unwrap();
    let service = |version| {
        format!(
            r#"[{{"url":"http://localhost:9","majorApiVersion":{version},"validFor":{{"start":"2020-01-01T00:00:00Z"}},"operator":"o"}}]"#
        )
    };
    let config = format!(
        r#"{{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","caUrls":{one},"oidcUrls":{one},"rekorTlogUrls":{two},"rekorTlogConfig":{{"selector":"ANY"}},"tsaUrls":{one},"tsaConfig":{{"selector":"ANY"}}}}"#,
        one = service(1),
        two = service(2),
    );
    fs::write(home.path().join("trust/signing_config.json"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealog"));
    command.args(["sign", "large", "--trust", "trust", "--no-browser"]).current_dir(home.path());
    command.env_clear().env("TERM", "xterm").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = OnTerminal::run(&mut command);
    running.wait_for("large  0 %  ");
    running.signal(Signal::INT);
    let (data, screen, ended) = running.end();
    assert_eq!((data.as_str(), ended), ("", Some(2)));
    assert!(screen.ends_with(CLEARED) && !screen.contains('\n'), "{screen:?}");
    assert_eq!(home.names(), ["b.json", "large", "root.json", "trust"]);
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let home = Home::new();
    fs::remove_file(home.path().join("large")).unwrap();
    File::create(home.path().join("large")).unwrap().set_len(1 << 30).unwrap();
    let mut child = home.verify("large").spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(kilobytes.unwrap_or(0));
        thread::sleep(Duration::from_millis(2));
    }
    assert!((1..20_000).contains(&peak), "{peak} kB");
}
