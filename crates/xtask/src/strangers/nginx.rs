//! Both logs as plain files by a real nginx, with the configuration that operators are given.
//!
//! An entry after the other is logged while tessera's `fsck` and ours read the log whole through nginx; then every header and
//! spelling is looked at, and last a copy of the files alone, which no `sealogd` stands behind: read whole, and, with
//! one bit of it changed, refused.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::logs::{newest, settled};
use super::report::{Check, Report};
use super::{Outcome, Stage};
use crate::House;
use crate::http::{Answer, ask};
use crate::peers;
use crate::process::{self, Finished, Service, free_port};

const LIMIT: Duration = Duration::from_secs(600);
const START_LIMIT: Duration = Duration::from_secs(120);
/// Entries logged while others read: several bundles, and a partial one.
const ENTRIES: &str = "3000";
/// nobody and nogroup of every Linux.
const NOBODY: u32 = 65534;
/// Where operators find what is tested here.
const CONFIGURATION: &str = "docs/operations/nginx.conf";
const IMMUTABLE: &str = "public, max-age=604800, immutable";

/// The row of nginx.
pub(super) fn run(house: &House, stage: &Stage<'_>, report: &mut Report) {
    let check = |does: &'static str, case: &str| Check::new("nginx", does, case.to_owned());
    let front = match Front::start(house, stage) {
        Ok(front) => front,
        Err(error) => {
            report.accepts(check("serves a log", "starts"), Err(error));
            return;
        }
    };
    front.while_it_grows(stage, report);
    let looked: [(&str, Look); 5] = [
        ("headers", Front::headers),
        ("compressed", Front::compressed),
        ("partials that are no files", Front::partials),
        ("what there is not", Front::nothing_else),
        ("methods", Front::methods),
    ];
    for (case, look) in looked {
        report.accepts(check("serves a log", case), outcome(|| look(&front)));
    }
    let logged = front.grpc(stage, "500");
    let copied = newest(&logged).and_then(|newest| front.copy(newest));
    report.accepts(check("passes gRPC on", "many entries"), logged);
    report.accepts(
        check("serves files alone", "the whole log"),
        copied.and_then(|()| front.fsck(stage, front.copy)),
    );
    let damaged = front.damage();
    report.refuses(
        check("serves files alone", "one bit changed"),
        // tessera's fsck does not come to an end here.
        damaged.and_then(|()| front.own_fsck(front.copy)),
        &["is not the one that was logged"],
    );
    report.accepts(check("serves a log", "stops"), outcome(|| front.stop()));
}

/// What we looked at ourselves, as if a program had.
fn outcome(look: impl FnOnce() -> Result<()>) -> Outcome {
    let begun = Instant::now();
    let found = look();
    let stderr = found.as_ref().err().map(|error| format!("{error:#}")).unwrap_or_default();
    let status = Some(i32::from(found.is_err()));
    Ok(Finished { status, stdout: String::new(), stderr, took: begun.elapsed(), timed_out: false })
}

/// One thing to look at.
type Look = fn(&Front) -> Result<()>;

/// nginx before both logs.
struct Front {
    service: Service,
    sealogd: PathBuf,
    /// The log's verifier key, as `fsck` wants it.
    key: PathBuf,
    public: PathBuf,
    issuers: PathBuf,
    copied: PathBuf,
    /// The log of signatures itself.
    direct: u16,
    rekor: u16,
    /// The same for HTTP/2.
    rekor_two: u16,
    ctlog: u16,
    /// A copy of the files, with nothing behind.
    copy: u16,
}

impl Front {
    fn start(house: &House, stage: &Stage<'_>) -> Result<Self> {
        let nginx = peers::of_the_machine(&["nginx"], "nginx")?;
        let dir = stage.scratch.file("nginx");
        let copied = dir.join("copied");
        fs::create_dir_all(&copied)?;
        let port = |service: &str| -> Result<u16> {
            let authority = stage.dev.authority(service)?;
            Ok(authority.rsplit(':').next().context("an address has a port")?.parse()?)
        };
        let [rekor, rekor_two, ctlog, copy, nothing] = std::array::from_fn(|_| free_port());
        let (rekor, rekor_two, ctlog, copy, nothing) = (rekor?, rekor_two?, ctlog?, copy?, nothing?);
        let (direct, direct_ctlog) = (port("rekor")?, port("ctlog")?);
        let data = stage.dev.dir().join("data");
        let (public, issuers) = (data.join("rekor/public"), data.join("ctlog/public/issuer"));
        fs::copy(house.path(CONFIGURATION), dir.join("log.conf"))?;
        let server = |listen: String, root: &Path, sealogd: u16| {
            let root = root.display();
            format!(
                "server {{ {listen} server_name localhost; root {root}; set $sealogd 127.0.0.1:{sealogd};\n\
                 include {}/log.conf; }}\n",
                dir.display()
            )
        };
        let servers = [
            server(format!("listen 127.0.0.1:{rekor}; listen 127.0.0.1:{rekor_two} http2;"), &public, direct),
            server(format!("listen 127.0.0.1:{ctlog};"), &data.join("ctlog/public"), direct_ctlog),
            server(format!("listen 127.0.0.1:{copy};"), &copied, nothing),
            format!("server {{ listen 127.0.0.1:{nothing}; return 404; }}\n"),
        ];
        let scratch = |name: &str| format!("{name}_temp_path {}/{name};\n", dir.display());
        let scratch: String =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].into_iter().map(scratch).collect();
        let text = format!(
            "daemon off;\nworker_processes 1;\npid {0}/nginx.pid;\nerror_log {0}/error.log warn;\n\
             events {{ worker_connections 512; }}\nhttp {{\naccess_log off;\nkeepalive_timeout 5;\n{scratch}{1}}}\n",
            dir.display(),
            servers.concat()
        );
        let configuration = dir.join("nginx.conf");
        fs::write(&configuration, text)?;
        let mut command = Command::new(nginx);
        command.arg("-p").arg(&dir).arg("-c").arg(&configuration).arg("-e").arg(dir.join("error.log"));
        // Nobody's business: nginx needs no rights, and reads what anybody may.
        if fs::metadata("/proc/self")?.uid() == 0 {
            for path in [&dir, &copied] {
                chown(path, Some(NOBODY), Some(NOBODY))?;
            }
            command.uid(NOBODY).gid(NOBODY);
        }
        // As the page tells operators; what is in there is closed by itself.
        for path in [stage.dev.dir().to_path_buf(), data] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o711))?;
        }
        let mut service = Service::start("nginx", &mut command, &dir.join("said.log"))?;
        service
            .wait_for_port(rekor, START_LIMIT)
            .with_context(|| fs::read_to_string(dir.join("error.log")).unwrap_or_default())?;
        let sealogd = house.program("sealogd");
        let key = dir.join("log.vkey");
        fs::write(&key, verifier_key(&sealogd, stage.dev.dir())?)?;
        Ok(Self { service, sealogd, key, public, issuers, copied, direct, rekor, rekor_two, ctlog, copy })
    }

    /// Both readers, again and again, until everything is logged, and once more when the files have followed.
    fn while_it_grows(&self, stage: &Stage<'_>, report: &mut Report) {
        let check = |case: &str| Check::new("nginx", "serves a log that grows", case.to_owned());
        let (logged, read) = thread::scope(|scope| {
            let logging = scope.spawn(|| {
                let mut command = Command::new(&stage.peers.rekor_grpc);
                command.arg("many").arg(format!("localhost:{}", self.direct)).arg(ENTRIES);
                process::run(&mut command, LIMIT)
            });
            let mut read = Vec::new();
            while !logging.is_finished() || read.len() < 4 {
                let both = [self.fsck(stage, self.rekor), self.own_fsck(self.rekor)];
                let failed = both.into_iter().any(|outcome| {
                    let failed = outcome.as_ref().map_or(true, |finished| !finished.succeeded());
                    read.push(outcome);
                    failed
                });
                if failed {
                    break;
                }
            }
            (logging.join(), read)
        });
        let logged = logged.unwrap_or_else(|_| Err(anyhow::anyhow!("logging panicked")));
        let newest = newest(&logged);
        report.accepts(check("entries meanwhile"), logged);
        let count = read.len();
        let worst = read.into_iter().find(|outcome| !matches!(outcome, Ok(finished) if finished.succeeded()));
        let worst = worst.unwrap_or_else(|| {
            println!("  nginx: a log that grew was read whole {count} times");
            outcome(|| Ok(()))
        });
        report.accepts(check("read whole meanwhile"), worst);
        report.accepts(check("files follow"), outcome(|| settled(&self.public, self.direct, newest?)));
        report.accepts(check("tessera's fsck"), self.fsck(stage, self.rekor));
        report.accepts(check("sealogd fsck"), self.own_fsck(self.rekor));
        report.accepts(check("sealogd fsck, certificates"), self.own_fsck(self.ctlog));
        report.accepts(
            check("the newest"),
            outcome(|| {
                let [front, direct] = [self.rekor, self.direct].map(|port| get(port, "/checkpoint"));
                let (front, direct) = (front?, direct?);
                ensure!(front.status == 200 && front.body == direct.body, "the file is not the newest");
                let size = String::from_utf8_lossy(&front.body).lines().nth(1).map(str::to_owned);
                let size: u64 = size.unwrap_or_default().parse()?;
                ensure!(size > 3000, "{size} entries only");
                Ok(())
            }),
        );
    }

    fn fsck(&self, stage: &Stage<'_>, port: u16) -> Outcome {
        let mut command = Command::new(&stage.peers.fsck);
        command.args(["--ui=false", "--public_key"]).arg(&self.key);
        command.arg(format!("--storage_url=http://localhost:{port}/"));
        process::run(&mut command, LIMIT)
    }

    fn own_fsck(&self, port: u16) -> Outcome {
        let mut command = Command::new(&self.sealogd);
        process::run(command.args(["fsck", "--url"]).arg(format!("http://localhost:{port}")), LIMIT)
    }

    fn grpc(&self, stage: &Stage<'_>, count: &str) -> Outcome {
        let mut command = Command::new(&stage.peers.rekor_grpc);
        command.arg("many").arg(format!("localhost:{}", self.rekor_two)).arg(count);
        process::run(&mut command, LIMIT)
    }

    /// The same content as from sealogd itself, under the headers that the specifications and sealogd give it.
    fn headers(&self) -> Result<()> {
        for prefix in ["", "/api/v2"] {
            for path in
                ["/tile/0/000", "/tile/0/001", "/tile/entries/000", "/tile/1/000.p/1", "/tile/0/000.p/7"]
            {
                let path = format!("{prefix}{path}");
                let (front, direct) = (get(self.rekor, &path)?, get(self.direct, &path)?);
                ensure!(front.status == 200 && front.body == direct.body, "{path}: {}", front.status);
                same(&path, &front, "content-type", "application/octet-stream")?;
                same(&path, &front, "cache-control", IMMUTABLE)?;
                same(&path, &front, "content-encoding", "")?;
                same(&path, &front, "access-control-allow-origin", "*")?;
            }
            let path = format!("{prefix}/checkpoint");
            let front = get(self.rekor, &path)?;
            ensure!(front.status == 200 && front.body == get(self.direct, &path)?.body, "{path}");
            same(&path, &front, "content-type", "text/plain; charset=utf-8")?;
            same(&path, &front, "cache-control", "no-cache")?;
            for name in ["etag", "last-modified", "content-encoding"] {
                same(&path, &front, name, "")?;
            }
            // What changes within a second must never be called unchanged.
            let since = [("If-Modified-Since", "Fri, 31 Dec 2100 23:59:59 GMT"), ("If-None-Match", "*")];
            let again = ask(self.rekor, "GET", &path, &since)?;
            ensure!(again.status == 200 && again.body == front.body, "{path} was {} again", again.status);
        }
        let issuer = fs::read_dir(&self.issuers)?.next().context("no issuer was met")??.file_name();
        let path = format!("/issuer/{}", issuer.to_string_lossy());
        let front = get(self.ctlog, &path)?;
        ensure!(front.status == 200 && !front.body.is_empty(), "{path}: {}", front.status);
        same(&path, &front, "content-type", "application/pkix-cert")?;
        same(&path, &front, "cache-control", IMMUTABLE)?;
        let data = get(self.ctlog, "/checkpoint")?;
        same("/checkpoint of ctlog", &data, "content-type", "text/plain; charset=utf-8")
    }

    /// Bundles for those who ask, by nginx and by sealogd behind it.
    fn compressed(&self) -> Result<()> {
        let asks = [("Accept-Encoding", "gzip, identity")];
        for (path, expected) in [
            ("/tile/entries/000", "gzip"),
            ("/tile/entries/001.p/200", "gzip"),
            ("/tile/0/000", ""),
            ("/checkpoint", ""),
        ] {
            let front = ask(self.rekor, "GET", path, &asks)?;
            ensure!(front.status == 200, "{path}: {}", front.status);
            same(path, &front, "content-encoding", expected)?;
            let plain = get(self.rekor, path)?;
            if expected.is_empty() {
                ensure!(front.body == plain.body, "{path} is another when gzip is accepted");
            } else {
                ensure!(front.header("vary").eq_ignore_ascii_case("accept-encoding"), "{path} without Vary");
                ensure!(front.body.len() < plain.body.len(), "{path} did not get shorter");
                ensure!(unzipped(&front.body)? == plain.body, "{path} is another when it is compressed");
            }
        }
        Ok(())
    }

    /// Widths that are no files any more, or never were.
    fn partials(&self) -> Result<()> {
        let full = get(self.rekor, "/tile/0/000")?.body;
        ensure!(
            !self.public.join("tile/0/000.p").exists(),
            "the partial tiles of a full one are still files"
        );
        for width in [1_usize, 7, 128, 255] {
            let path = format!("/tile/0/000.p/{width}");
            let part = get(self.rekor, &path)?;
            ensure!(part.status == 200 && Some(part.body.as_slice()) == full.get(..32 * width), "{path}");
            let path = format!("/tile/entries/000.p/{width}");
            let (part, direct) = (get(self.rekor, &path)?, get(self.direct, &path)?);
            ensure!(part.status == 200 && part.body == direct.body, "{path}: {}", part.status);
        }
        Ok(())
    }

    /// Other spellings, other files, and the files behind the public ones.
    fn nothing_else(&self) -> Result<()> {
        let hidden = self.public.join("tile/0/.003.tmp");
        fs::write(&hidden, b"half a file")?;
        for path in [
            "/tile/0/x000/000",
            "/tile/0/%30%30%30",
            "/%63heckpoint",
            "//checkpoint",
            "/tile//0/000",
            "/tile/0/000/",
            "/tile/0/000.p/0",
            "/tile/0/000.p/01",
            "/tile/0/000.p/256",
            "/tile/0/000.p",
            "/tile/0/0",
            "/tile/00/000",
            "/tile/64/000",
            "/tile/0/999",
            "/tile/0/.003.tmp",
            "/tile/0/",
            "/tile/",
            "/.checkpoint.tmp",
            "/api/v2/issuer/00",
            "/../format",
            "/..%2fformat",
            "/wal",
            "/nothing",
        ] {
            let front = get(self.rekor, path)?;
            ensure!((400..=404).contains(&front.status), "{path}: {}", front.status);
            // Only what leaves the directory is no request at all.
            ensure!(front.status == 404 || path.starts_with("/.."), "{path}: {}", front.status);
            ensure!(front.header("cache-control") != IMMUTABLE, "{path} is kept by caches");
        }
        fs::remove_file(hidden)?;
        let absent = get(self.rekor, "/tile/0/999")?;
        same("/tile/0/999", &absent, "cache-control", "no-store")?;
        Ok(())
    }

    fn methods(&self) -> Result<()> {
        for path in ["/checkpoint", "/tile/0/000", "/tile/entries/000", "/tile/0/000.p/7"] {
            let (head, whole) = (ask(self.rekor, "HEAD", path, &[])?, get(self.rekor, path)?);
            ensure!(head.status == 200, "HEAD {path}: {}", head.status);
            for name in ["content-type", "content-length", "cache-control"] {
                same(path, &head, name, &whole.header(name))?;
            }
            let put = ask(self.rekor, "PUT", path, &[("Content-Length", "0")])?;
            ensure!(put.status == 405, "PUT {path}: {}", put.status);
        }
        let health = get(self.rekor, "/healthz")?;
        ensure!(health.status == 200, "/healthz: {}", health.status);
        let wrong = ask(self.rekor, "POST", "/api/v2/log/entries", &[("Content-Length", "0")])?;
        ensure!(wrong.status == 400, "an empty request: {}", wrong.status);
        Ok(())
    }

    /// The files as a mirror has them, and nothing of what is behind.
    fn copy(&self, newest: u64) -> Result<()> {
        settled(&self.public, self.direct, newest)?;
        let mut command = Command::new("cp");
        command.arg("-R").arg(self.public.join(".")).arg(&self.copied);
        process::run(&mut command, LIMIT)?.expect_success("copying the files").map(drop)
    }

    fn damage(&self) -> Result<()> {
        let file = self.copied.join("tile/entries/001");
        let mut bytes = fs::read(&file)?;
        *bytes.get_mut(1000).context("a bundle is longer")? ^= 1;
        Ok(fs::write(file, bytes)?)
    }

    fn stop(mut self) -> Result<()> {
        self.service.stop()
    }
}

fn get(port: u16, path: &str) -> Result<Answer> {
    ask(port, "GET", path, &[])
}

fn same(path: &str, answer: &Answer, name: &str, expected: &str) -> Result<()> {
    let found = answer.header(name);
    ensure!(found == expected, "{name} of {path}: expected `{expected}`, found `{found}`");
    Ok(())
}

/// By a program of the machine: nothing here reads gzip.
fn unzipped(bytes: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut child = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("standard input was piped")?;
    let bytes = bytes.to_vec();
    let writing = thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output()?;
    ensure!(writing.join().is_ok_and(|written| written.is_ok()) && output.status.success(), "not gzip");
    Ok(output.stdout)
}

/// As `sealogd check` prints it.
fn verifier_key(sealogd: &Path, dir: &Path) -> Result<String> {
    let mut command = Command::new(sealogd);
    command.args(["check", "--config"]).arg(dir.join("sealog.toml"));
    let said = process::run(&mut command, LIMIT)?.expect_success("sealogd check")?;
    let key = said.lines().find_map(|line| line.split_once("verifier key "));
    Ok(key.context("`sealogd check` names no verifier key")?.1.trim().to_owned())
}
