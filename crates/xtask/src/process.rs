//! Running other programs: with a time limit, with everything they said kept, and never left behind.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

/// The longest output kept from one program.
const OUTPUT_LIMIT: u64 = 64 << 20;
/// How often a running program is looked at.
const POLL: Duration = Duration::from_micros(200);
/// How long the output of a killed program is waited for.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long a service may take to stop when asked: `sealogd` lets what is under way end for some seconds. This and the
/// limits of the steps only end what hangs; on a slow machine all takes a multiple of its usual time.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// What a program did.
pub(crate) struct Finished {
    /// The exit status; `None` after a signal or the time limit.
    pub(crate) status: Option<i32>,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
    /// From start to end.
    pub(crate) took: Duration,
    /// It was killed at the limit.
    pub(crate) timed_out: bool,
}

impl Finished {
    /// It ended with status 0.
    pub(crate) fn succeeded(&self) -> bool {
        self.status == Some(0)
    }

    /// Both outputs, for looking for words in.
    pub(crate) fn said(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    /// The last few lines it wrote, for a report.
    pub(crate) fn tail(&self, lines: usize) -> String {
        let said = self.said();
        let kept: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        kept.get(kept.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }

    /// The standard output if it succeeded, else an error with what it said.
    pub(crate) fn expect_success(self, what: &str) -> Result<String> {
        if self.succeeded() {
            return Ok(self.stdout);
        }
        let status = self.status.map_or_else(|| "no exit status".to_owned(), |code| format!("status {code}"));
        bail!("{what} failed ({status}):\n{}", self.tail(20))
    }
}

/// Runs a program to its end, or kills it at the limit.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Finished> {
    run_from(command, Stdio::null(), limit)
}

/// The same with something to read.
pub(crate) fn run_from(command: &mut Command, input: Stdio, limit: Duration) -> Result<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    // Both outputs end when the program does: waiting for that costs no time that would be measured.
    let deadline = started + limit;
    let left = || deadline.saturating_duration_since(Instant::now());
    let outputs = (stdout.recv_timeout(left()), stderr.recv_timeout(left()));
    let status = wait(&mut child, left())?;
    let took = started.elapsed();
    let late = |output: Result<String, _>, receiver: &mpsc::Receiver<String>| {
        output.or_else(|_| receiver.recv_timeout(LAST_WORDS)).unwrap_or_default()
    };
    let stdout = late(outputs.0, &stdout);
    let mut stderr = late(outputs.1, &stderr);
    let timed_out = status.is_none();
    if timed_out {
        stderr.push_str(&format!("\n{name} was stopped after {} s", limit.as_secs()));
    }
    Ok(Finished { status: status.flatten(), stdout, stderr, took, timed_out })
}

/// From start to end of a program whose words nobody reads, with nothing between it and the clock: no pipe, no thread, no
/// polling, and so no time limit either. `None` when it failed.
pub(crate) fn time(command: &mut Command) -> Result<Option<Duration>> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    let took = started.elapsed();
    Ok(status.success().then_some(took))
}

/// Runs a program that talks straight to our terminal.
pub(crate) fn show(command: &mut Command) -> Result<bool> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start {name}"))?;
    Ok(status.success())
}

/// Reads to the end in a thread of its own.
fn collect<R: Read + Send + 'static>(source: Option<R>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(source) = source {
            // A read error only shortens what is reported.
            let _ = source.take(OUTPUT_LIMIT).read_to_end(&mut bytes);
        }
        // Nobody listens any more when the program was given up.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// `None` at the limit (the child is killed), else the exit code.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<Option<i32>>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.code()));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// A server in the background; stopped when dropped.
pub(crate) struct Service {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts it with both outputs going to `log`.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_path_buf() })
    }

    /// Takes over a child whose outputs the caller has arranged.
    pub(crate) fn adopt(name: &str, child: Child, log: &Path) -> Self {
        Self { name: name.to_owned(), child, log: log.to_path_buf() }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it listens on a port of 127.0.0.1.
    pub(crate) fn wait_for_port(&mut self, port: u16, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once ({status}):\n{}", self.name, self.last_words());
            }
            if Instant::now() >= deadline {
                bail!("{} does not listen on port {port}:\n{}", self.name, self.last_words());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it ends by itself; its exit status, `None` after a signal or the limit.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<Option<i32>> {
        Ok(wait(&mut self.child, limit)?.flatten())
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let said = std::fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let lines: Vec<&str> = said.lines().collect();
        lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
    }

    /// Asks it to stop and waits; kills it at the limit and says so.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        if wait(&mut self.child, STOP_LIMIT)?.is_none() {
            bail!("{} did not stop within {} s and was killed", self.name, STOP_LIMIT.as_secs());
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.stop().is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The sockets that keep the ports given out, until this process ends.
static RESERVED: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

/// A port of this machine that nobody has, and that nobody is given who asks for any port, for as long as we run.
///
/// A socket bound to it, at every address, keeps it. It never listens, so a server that sets `SO_REUSEADDR`, as nearly
/// all do, can still be told to listen there, and to whoever connects before, nobody does.
pub(crate) fn free_port() -> Result<u16> {
    let socket = reserve().context("cannot reserve a port")?;
    let port = SocketAddr::try_from(rustix::net::getsockname(&socket)?)?.port();
    RESERVED.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
    Ok(port)
}

fn reserve() -> rustix::io::Result<OwnedFd> {
    let open = |family| rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let both = || {
        let socket = open(AddressFamily::INET6)?;
        sockopt::set_ipv6_v6only(&socket, false)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))?;
        Ok(socket)
    };
    both().or_else(|_: rustix::io::Errno| {
        // A machine without IPv6.
        let socket = open(AddressFamily::INET)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
        Ok(socket)
    })
}

/// A directory that is removed when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes an empty directory with `name` in its own.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("sealog-{name}-{}", std::process::id()));
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::env::var_os("SEALOG_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.0);
        } else {
            eprintln!("kept {}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_said_is_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let finished = run(&mut command, Duration::from_secs(10)).unwrap();
        assert_eq!((finished.status, finished.succeeded()), (Some(3), false));
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; exec sleep 60"]);
        let finished = run(&mut command, Duration::from_secs(3)).unwrap();
        assert_eq!(finished.status, None);
        assert!(
            finished.timed_out && finished.stdout == "begun\n" && finished.stderr.contains("was stopped")
        );
        assert!(finished.took < Duration::from_secs(10));
    }

    #[test]
    fn a_free_port_is_given_to_nobody_else_and_can_be_listened_on() {
        use std::net::TcpListener;
        let ports: Vec<u16> = (0..200).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.iter().collect::<std::collections::BTreeSet<_>>().len(), ports.len());
        // Of some thousand ports, one of ours would be among these if they could be had.
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"] {
            for _ in 0..1000 {
                // A machine may be without IPv6.
                let Ok(other) = TcpListener::bind(address) else { break };
                assert!(!ports.contains(&other.local_addr().unwrap().port()));
            }
        }
        let port = ports[0];
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        let listeners = ["127.0.0.1", "127.0.1.7"].map(|host| TcpListener::bind((host, port)).unwrap());
        assert!(listeners.iter().all(|one| TcpStream::connect(one.local_addr().unwrap()).is_ok()));
    }
}
