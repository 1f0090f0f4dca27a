//! S3 servers of others, and a way to them that can be cut.
#![allow(clippy::print_stderr, reason = "says why it was skipped")]

use sealog_testkit::Reserved;
use std::{
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) const BUCKET: &str = "sealog-logs";
const KEY: &str = "AKIDTEST";
const SECRET: &str = "secretsecret";

/// A program that `cargo xtask test` installs, named by a variable; none where it is not there, a failure in CI.
fn program(variable: &str, what: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        assert!(std::env::var("CI").is_err(), "{variable} is not set: run `cargo xtask test`");
        eprintln!("skipped: {variable} does not name {what}");
    }
    found
}

/// A running S3 server with one empty bucket.
pub(crate) struct S3 {
    child: Child,
    port: Reserved,
    dir: tempfile::TempDir,
}

impl S3 {
    /// versitygw over a directory, the server whose conditional writes hold.
    pub(crate) fn versitygw() -> Option<Self> {
        let program =
            program("SEALOG_VERSITYGW", "versitygw (Go: github.com/versity/versitygw/cmd/versitygw)")?;
        let (dir, port) = Self::room();
        std::fs::create_dir(dir.path().join(BUCKET)).unwrap();
        let mut command = Command::new(program);
        command.args(["--access", KEY, "--secret", SECRET, "--quiet"]);
        command.args(["--port", &format!("127.0.0.1:{}", port.port()), "posix"]).arg(dir.path());
        Some(Self::start(command, dir, port))
    }

    /// moto, in memory. One request at a time: it holds no lock between looking at a condition and writing, and its own
    /// command answers many at once, which our probe sees now and then, and refuses.
    pub(crate) fn moto() -> Option<Self> {
        const SERVE: &str = "import sys\n\
            from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app\n\
            from werkzeug.serving import run_simple\n\
            app = DomainDispatcherApplication(create_backend_app)\n\
            run_simple('127.0.0.1', int(sys.argv[1]), app, threaded=False)\n";
        let program = program("SEALOG_MOTO_SERVER", "moto's server (PyPI: moto[s3], flask, flask-cors)")?;
        let (dir, port) = Self::room();
        let mut command = Command::new(program.with_file_name("python"));
        command.args(["-c", SERVE, &port.port().to_string()]);
        let moto = Self::start(command, dir, port);
        let put = "import sys, urllib.request as r; r.urlopen(r.Request(sys.argv[1], method='PUT'))";
        let mut made = Command::new("python3");
        let made = made
            .env("no_proxy", "*")
            .args(["-c", put, &format!("{}/{BUCKET}", moto.endpoint())])
            .status()
            .unwrap();
        assert!(made.success(), "moto makes no bucket");
        Some(moto)
    }

    /// s3s-fs, whose conditional writes are not atomic.
    pub(crate) fn s3s_fs() -> Option<Self> {
        let program = program("SEALOG_S3S_FS", "s3s-fs (cargo install s3s-fs --features binary)")?;
        let (dir, port) = Self::room();
        std::fs::create_dir(dir.path().join(BUCKET)).unwrap();
        let mut command = Command::new(program);
        command.args(["--access-key", KEY, "--secret-key", SECRET, "--host", "127.0.0.1"]);
        command.args(["--port", &port.port().to_string()]).arg(dir.path());
        Some(Self::start(command, dir, port))
    }

    fn room() -> (tempfile::TempDir, Reserved) {
        (tempfile::tempdir().unwrap(), Reserved::new())
    }

    fn start(mut command: Command, dir: tempfile::TempDir, port: Reserved) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut s3 = Self { child, port, dir };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", s3.port())).is_err() {
            assert!(s3.child.try_wait().unwrap().is_none(), "the S3 server has ended");
            assert!(begun.elapsed() < Duration::from_secs(90), "the S3 server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        s3
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// An object, as versitygw keeps it.
    pub(crate) fn object(&self, key: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(BUCKET).join(key)).unwrap()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.port()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who may use the bucket.
pub(crate) fn credentials() -> [(&'static str, &'static str); 2] {
    [("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)]
}

/// A way to a port that can be cut: then nothing passes, in either direction, and nobody is told.
pub(crate) struct Wire {
    pub(crate) port: u16,
    cut: Arc<AtomicBool>,
}

impl Wire {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let this = Self { port: listener.local_addr().unwrap().port(), cut: Arc::default() };
        let cut = Arc::clone(&this.cut);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let cut = Arc::clone(&cut);
                tokio::spawn(async move {
                    while cut.load(SeqCst) {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    let Ok(far) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else { return };
                    let (near_in, near_out) = near.into_split();
                    let (far_in, far_out) = far.into_split();
                    tokio::join!(pass(near_in, far_out, Arc::clone(&cut)), pass(far_in, near_out, cut));
                });
            }
        });
        this
    }

    pub(crate) fn cut(&self, cut: bool) {
        self.cut.store(cut, SeqCst);
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    cut: Arc<AtomicBool>,
) {
    let mut room = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut room).await {
        // What was under way arrives when the wire is whole again: late writes are part of it.
        while cut.load(SeqCst) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if to.write_all(&room[..read]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
