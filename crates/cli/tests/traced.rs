//! The key of a signature lives in memory only, and only until the signature is made.
//!
//! The real `sealog sign`, against the real services, watched in two ways. Its system calls: nothing is
//! written but the bundle, under the temporary name it gets first. Its memory: while the authority is
//! asked for a certificate the private key is found in it, and when the signature goes out to be stamped
//! the key is nowhere any more. The test never knows the key: it tries everything in the process's memory
//! that could be one against the public key in the certificate request.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "says why it was skipped")]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sealog_crypto::{PrivateKey, Signer as _};
use sealog_pki::Csr;
use sealog_server::{
    clock::Clock,
    dev,
    oidc::{DevToken, dev_token},
    run::Running,
};
use std::{
    collections::HashSet,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;

const SIGNER: &str = "ann@example.org";

/// Services in this process, and a home with a file to sign and a token to sign it with.
struct Instance {
    home: TempDir,
    client: PathBuf,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    services: Option<std::thread::JoinHandle<()>>,
}

impl Instance {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("dev");
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let services = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (config, sockets) = dev::prepare(&dir, 0, Clock::system()).unwrap();
                let running = Running::start(&config, Clock::system(), sockets).await.unwrap();
                let asked = DevToken::Email(SIGNER.to_owned());
                let token = dev_token(&config, &Clock::system(), &asked, "sigstore").unwrap();
                ready.send((config.client_dir(), token)).unwrap();
                let _ = stopped.await;
                running.stop().await;
            });
        });
        let (client, token) = is_ready.recv().unwrap();
        fs::write(home.path().join("token"), token).unwrap();
        fs::create_dir(home.path().join("work")).unwrap();
        fs::write(home.path().join("work/app.txt"), "hello\n").unwrap();
        Self { home, client, stop: Some(stop), services: Some(services) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// `sealog sign app.txt`, after what is in `before`.
    fn sign(&self, before: &[&str], trust: &Path) -> Command {
        let sealog = env!("CARGO_BIN_EXE_sealog");
        let mut words = before.iter().copied().chain([sealog, "sign", "app.txt", "--trust"]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg(trust).arg("--identity-token");
        command.arg(format!("@{}", self.path("token").display()));
        command.current_dir(self.path("work")).env_clear().stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The trust directory of someone who reaches the authorities through these.
    fn through(&self, ca: &Between, tsa: &Between) -> PathBuf {
        let path = self.client.join("signing_config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let way = |kind: &str, between: &Between| {
            let url = config[kind][0]["url"].as_str().unwrap();
            let (_, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap_or(("", ""));
            format!("http://localhost:{}/{path}", between.port)
        };
        let (to_ca, to_tsa) = (way("caUrls", ca), way("tsaUrls", tsa));
        config["caUrls"][0]["url"] = to_ca.into();
        config["tsaUrls"][0]["url"] = to_tsa.into();
        let directory = self.path("through");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("signing_config.json"), config.to_string()).unwrap();
        fs::copy(self.client.join("trusted_root.json"), directory.join("trusted_root.json")).unwrap();
        directory
    }

    fn host_of(&self, kind: &str) -> String {
        let path = self.client.join("signing_config.json");
        let config: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let url = config[kind][0]["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        url.split('/').next().unwrap().to_owned()
    }

    fn bundle(&self) -> Vec<u8> {
        fs::read(self.path("work/app.txt.sigstore.json")).unwrap()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.services.take().map(std::thread::JoinHandle::join);
    }
}

#[track_caller]
fn succeeds(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// System calls that open, make, name, write or resize files, or make memory others can read.
/// A question mark: where the machine has it.
const CALLS: &str = "trace=?open,openat,?openat2,?creat,write,pwrite64,writev,pwritev,?pwritev2,sendfile,splice,\
                     tee,vmsplice,copy_file_range,truncate,ftruncate,fallocate,?rename,?renameat,renameat2,\
                     ?link,linkat,?symlink,symlinkat,?mkdir,mkdirat,?mknod,mknodat,memfd_create,mmap,?shmget,\
                     setxattr,fsetxattr,execve,prlimit64,?setrlimit,?io_uring_setup,?io_setup";

#[test]
fn nothing_but_the_bundle_is_written() {
    if Command::new("strace").arg("-V").output().is_err() {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "strace is needed in PATH (Debian: apt-get install strace)"
        );
        eprintln!("skipped: no strace command");
        return;
    }
    let instance = Instance::start();
    let trace = instance.path("trace");
    // A file for each thread, so that no call is told in two halves.
    let tracer = ["strace", "-ff", "-y", "-s", "0", "-o", trace.to_str().unwrap(), "-e", CALLS];
    let traced =
        instance.sign(&tracer, &instance.client).env("PATH", std::env::var_os("PATH").unwrap()).spawn();
    succeeds(traced.unwrap());

    let work = fs::canonicalize(instance.path("work")).unwrap();
    let threads = fs::read_dir(instance.path("")).unwrap().map(|found| found.unwrap().path());
    let threads = threads.filter(|path| path.to_str().unwrap().starts_with(trace.to_str().unwrap()));
    let trace: String = threads.map(|thread| fs::read_to_string(thread).unwrap()).collect();
    let mut written = 0;
    let mut no_core = false;
    for line in trace.lines() {
        // "call(…) = result".
        let Some((name, rest)) = line.split_once('(') else { continue };
        let temporary =
            |text: &str| text.contains(&format!("{}/.sealog-", work.display())) && text.contains(".tmp");
        match name {
            "open" | "openat" | "openat2" | "creat" => {
                let writing = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"];
                if name != "creat" && !writing.iter().any(|flag| rest.contains(flag)) {
                    continue;
                }
                // Whether the place can be written is tried with a file that never has a name.
                let nameless = rest.contains("O_TMPFILE") && rest.contains("\".\"")
                    // On file systems that know no such files it has one for a moment.
                    || rest.contains(&format!("\"{}/./.tmp", work.display()));
                let bundle =
                    rest.contains(&format!("\"{}/./.sealog-", work.display())) && rest.contains(".tmp\"");
                let terminal = rest.contains("\"/dev/tty\"") || rest.contains("\"/dev/null\"");
                assert!(nameless || bundle || terminal, "opened for writing: {line}");
            }
            "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" | "sendfile" | "splice" | "tee"
            | "vmsplice" | "copy_file_range" | "ftruncate" | "fallocate" => {
                let target = rest.split([',', ')']).next().unwrap_or_default();
                if temporary(target) {
                    written += rest.rsplit("= ").next().unwrap().trim().parse::<usize>().expect(line);
                    continue;
                }
                let passing = ["<socket:", "<TCP", "<UNIX", "<pipe:", "<anon_inode:"];
                assert!(passing.iter().any(|kind| target.contains(kind)), "written: {line}");
            }
            "mmap" => {
                let shared = rest.contains("MAP_SHARED") && rest.contains("PROT_WRITE");
                assert!(!shared || rest.contains("MAP_ANONYMOUS"), "mapped for writing: {line}");
            }
            "link" | "linkat" | "rename" | "renameat" | "renameat2" => {
                assert!(
                    rest.contains(".sealog-") && rest.contains("app.txt.sigstore.json\""),
                    "named: {line}"
                );
            }
            "prlimit64" | "setrlimit" => {
                no_core |= rest.contains("RLIMIT_CORE") && rest.contains("rlim_cur=0, rlim_max=0");
            }
            "execve" => assert!(rest.contains("/sealog\""), "started: {line}"),
            "truncate" | "symlink" | "symlinkat" | "mkdir" | "mkdirat" | "mknod" | "mknodat"
            | "memfd_create" | "shmget" | "setxattr" | "fsetxattr" | "io_uring_setup" | "io_setup" => {
                panic!("not for a signer: {line}");
            }
            _ => {}
        }
    }
    assert_eq!(written, instance.bundle().len(), "the trace shows the bundle being written\n{trace}");
    assert!(no_core, "a crash would write the memory to a file\n{trace}");
}

/// A door to a service that looks at each request before it passes.
struct Between {
    port: u16,
}

impl Between {
    /// `look` says whether the request passes; otherwise the caller hears nothing.
    fn open(to: String, look: impl Fn(&[u8]) -> bool + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                pass(stream.unwrap(), &to, &look);
            }
        });
        Self { port }
    }
}

fn pass(mut stream: TcpStream, to: &str, look: &impl Fn(&[u8]) -> bool) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let name = line.split(':').next().unwrap().to_ascii_lowercase();
        match (name.as_str(), line.trim().is_empty()) {
            (_, true) => break,
            ("host" | "connection", _) => continue,
            ("content-length", _) => length = line.rsplit(':').next().unwrap().trim().parse().unwrap(),
            _ => {}
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    if !look(&body) {
        return;
    }
    let mut service = TcpStream::connect(to).unwrap();
    write!(service, "{head}Host: {to}\r\nConnection: close\r\n\r\n").unwrap();
    service.write_all(&body).unwrap();
    let mut answer = Vec::new();
    service.read_to_end(&mut answer).unwrap();
    stream.write_all(&answer).unwrap();
}

#[test]
fn of_several_files_it_is_said_which_was_not_signed() {
    let instance = Instance::start();
    fs::write(instance.path("work/b.txt"), "b").unwrap();
    fs::write(instance.path("work/c.txt"), "c").unwrap();
    let ca = Between::open(instance.host_of("caUrls"), |_| true);
    let asked = AtomicU32::new(0);
    let tsa = Between::open(instance.host_of("tsaUrls"), move |_| asked.fetch_add(1, Ordering::SeqCst) == 0);
    let trust = instance.through(&ca, &tsa);
    let output = instance.sign(&[], &trust).args(["b.txt", "c.txt"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let talk = String::from_utf8(output.stderr).unwrap();
    let said = "identity: the token that was given\nerror: `b.txt` and what comes after it was not signed: ";
    assert!(talk.starts_with(said), "{talk}");
    let there = |name: &str| instance.path("work").join(name).exists();
    assert!(there("app.txt.sigstore.json") && !there("b.txt.sigstore.json") && !there("c.txt.sigstore.json"));
}

#[test]
fn the_key_is_gone_when_the_signature_goes_out() {
    let instance = Instance::start();
    let process = Arc::new(AtomicU32::new(0));
    let alive = Arc::new(Mutex::new(None));
    let after = Arc::new(Mutex::new(None));

    // It may ask before its number is noted here.
    let number = |process: &AtomicU32| loop {
        match process.load(Ordering::SeqCst) {
            0 => std::thread::sleep(Duration::from_millis(1)),
            number => break number,
        }
    };
    let (of, found) = (Arc::clone(&process), Arc::clone(&alive));
    let ca = Between::open(instance.host_of("caUrls"), move |body| {
        let request: serde_json::Value = serde_json::from_slice(body).unwrap();
        let pem = STANDARD.decode(request["certificateSigningRequest"].as_str().unwrap()).unwrap();
        let csr = Csr::from_pem(std::str::from_utf8(&pem).unwrap()).unwrap();
        *found.lock().unwrap() = Some((csr.public_key().spki_der().to_vec(), Memory::of(number(&of))));
        true
    });
    let (of, found) = (Arc::clone(&process), Arc::clone(&after));
    let tsa = Between::open(instance.host_of("tsaUrls"), move |_| {
        *found.lock().unwrap() = Some(Memory::of(number(&of)));
        true
    });
    let trust = instance.through(&ca, &tsa);
    let child = instance.sign(&[], &trust).spawn().unwrap();
    process.store(child.id(), Ordering::SeqCst);
    succeeds(child);

    let (public, before) = alive.lock().unwrap().take().expect("the authority was asked");
    let after = after.lock().unwrap().take().expect("the signature was stamped");
    assert!(before.holds_key_of(&public), "the search must find a key that is alive");
    assert!(!after.holds_key_of(&public), "the private key after the signature was made");
}

/// What a process had in writable memory.
struct Memory(Vec<Vec<u8>>);

/// The length of a P-256 scalar.
const SCALAR: usize = 32;
/// Random scalars hold at least so many different bytes: fewer come once in many billions.
const FEWEST_BYTES: usize = 20;

impl Memory {
    fn of(process: u32) -> Self {
        let memory = fs::File::open(format!("/proc/{process}/mem")).unwrap();
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let regions = maps.lines().filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (from, to) = fields.next()?.split_once('-')?;
            if !fields.next()?.starts_with("rw") || line.ends_with("[vvar]") {
                return None;
            }
            let mut bytes = vec![0; usize::try_from(number(to) - number(from)).unwrap()];
            memory.read_exact_at(&mut bytes, number(from)).ok().map(|()| bytes)
        });
        Self(regions.collect())
    }

    /// Whether any 32 bytes in it, in either order, are the private key of a P-256 public key.
    fn holds_key_of(&self, public: &[u8]) -> bool {
        assert!(!self.0.is_empty(), "the memory of the process could be read");
        let mut candidates: HashSet<[u8; SCALAR]> = HashSet::new();
        for window in self.0.iter().flat_map(|region| region.windows(SCALAR)) {
            let mut seen = [0_u64; 4];
            window.iter().for_each(|byte| seen[usize::from(byte >> 6)] |= 1 << (byte & 63));
            let different: u32 = seen.iter().map(|bits| bits.count_ones()).sum();
            if different as usize >= FEWEST_BYTES {
                candidates.insert(window.try_into().unwrap());
            }
        }
        let candidates: Vec<_> = candidates.into_iter().collect();
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let share = candidates.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let shares = candidates.chunks(share);
            let searches: Vec<_> =
                shares.map(|share| scope.spawn(|| share.iter().any(|c| is_key_of(c, public)))).collect();
            searches.into_iter().any(|search| search.join().unwrap())
        })
    }
}

fn is_key_of(candidate: &[u8; SCALAR], public: &[u8]) -> bool {
    let mut turned = *candidate;
    turned.reverse();
    [*candidate, turned].iter().any(|scalar| {
        // PKCS#8 of a P-256 key without its public half.
        let mut der = vec![0x30, 0x41, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8];
        der.extend([0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 4, 0x27, 0x30, 0x25, 2, 1, 1, 4, 0x20]);
        der.extend(scalar);
        PrivateKey::from_pkcs8_der(&der).is_ok_and(|key| key.public_key().spki_der() == public)
    })
}
