//! Reading: a filled log's full tiles and entry bundles, from `sealogd` and from nginx over the same files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::load::{self, Pace, Run};
use super::measure::Manner;
use crate::bench::figures::Figures;
use crate::bench::usage;
use crate::peers;
use crate::process::{self, Scratch, Service};

/// Every how many files one is read, so that the loader's list stays short.
const MOST_FILES: usize = 2000;
const LIMIT: Duration = Duration::from_secs(20);

/// What is read: the requests, and the files they are for.
struct Reads {
    requests: Vec<Box<[u8]>>,
    files: Vec<PathBuf>,
}

/// Measures both; `server` is ours.
pub(super) fn measure(
    figures: &mut Figures,
    scratch: &Scratch,
    public: &Path,
    server: (std::net::SocketAddr, u32),
    manner: Manner,
) -> Result<()> {
    let mut files = Vec::new();
    full_files(public, &mut files)?;
    let step = files.len().div_ceil(MOST_FILES).max(1);
    let files: Vec<PathBuf> = files.into_iter().step_by(step).collect();
    ensure!(!files.is_empty(), "the log is too small to have a full tile");
    let nginx = Nginx::start(scratch, public)?;
    let hash_tiles = |path: &&PathBuf| !path.components().any(|part| part.as_os_str() == "entries");
    for (what, files) in [
        ("hash tile", files.iter().filter(hash_tiles).cloned().collect::<Vec<_>>()),
        ("entry bundle", files.iter().filter(|path| !hash_tiles(path)).cloned().collect()),
    ] {
        let reads = Reads::of(public, files)?;
        for (subject, address, servers) in
            [("sealogd", server.0, vec![server.1]), ("nginx", nginx.address, nginx.processes()?)]
        {
            side(figures, subject, what, address, &servers, &reads, manner)?;
        }
    }
    Ok(())
}

fn side(
    figures: &mut Figures,
    subject: &str,
    what: &str,
    address: std::net::SocketAddr,
    servers: &[u32],
    reads: &Reads,
    manner: Manner,
) -> Result<()> {
    println!("{what}: {subject}");
    let mut best: Option<load::Outcome> = None;
    for connections in manner.clients() {
        let (warm_up, measured) = (manner.warm_up, manner.measured);
        let run = Run {
            address,
            connections,
            pace: Pace::Closed,
            warm_up,
            measured,
            requests: &reads.requests,
            again: true,
            servers,
        };
        let outcome = load::run(&run).context(subject.to_owned())?;
        for (number, body) in &outcome.kept {
            let file = reads.files.get(number % reads.files.len()).context("no such file")?;
            ensure!(
                *body == std::fs::read(file)?,
                "{subject} answered something else than {}",
                file.display()
            );
        }
        println!(
            "  {connections:4} clients: {:8.0} /s, p50 {:6.2} ms, {:5.1} us of CPU, {:4.1} us of the loader's",
            outcome.per_second,
            outcome.latency_ms(0.5),
            outcome.cpu_us,
            outcome.loader_us
        );
        if best.as_ref().is_none_or(|best| outcome.per_second > best.per_second) {
            best = Some(outcome);
        }
    }
    let best = best.context("no number of clients")?;
    let memory: Result<Vec<f64>> = servers.iter().map(|id| usage::resident_mb(*id, usage::PEAK)).collect();
    figures.add(subject, &format!("{what}: most memory so far"), memory?.iter().sum(), "MB");
    figures.add(subject, &format!("{what}: reads, at its best"), best.per_second, "/s");
    figures.add(subject, &format!("{what}: server's CPU each"), best.cpu_us, "us");
    figures.add(subject, &format!("{what}: reads for a core's time"), 1e6 / best.cpu_us, "/s");
    Ok(())
}

impl Reads {
    fn of(public: &Path, files: Vec<PathBuf>) -> Result<Self> {
        let request = |file: &PathBuf| {
            let path = file.strip_prefix(public)?.to_str().context("the path is text")?;
            let text = format!(
                "GET /{path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
            );
            anyhow::Ok(text.into_bytes().into_boxed_slice())
        };
        Ok(Self { requests: files.iter().map(request).collect::<Result<_>>()?, files })
    }
}

/// Every file that never changes again.
fn full_files(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        let is_partial = path.extension().is_some_and(|extension| extension == "p");
        if path.is_dir() && !is_partial {
            full_files(&path, found)?;
        } else if path.is_file() && path.components().any(|part| part.as_os_str() == "tile") {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}

struct Nginx {
    service: Service,
    address: std::net::SocketAddr,
}

impl Nginx {
    /// With as many workers as there are processors, and what its manual advises for files that do not change.
    fn start(scratch: &Scratch, public: &Path) -> Result<Self> {
        let nginx = peers::of_the_machine(&["nginx"], "nginx-light")
            .or_else(|_| find_in_sbin().context("nginx is in neither PATH nor /usr/sbin"))?;
        let port = process::free_port()?;
        let (root, home) = (public.display(), scratch.path().display());
        let config = format!(
            "daemon off;\nworker_processes auto;\npid {home}/nginx.pid;\nerror_log {home}/nginx.err;\nuser root;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  keepalive_requests 1000000000;\n\
             \x20 open_file_cache max=10000 inactive=600s;\n  open_file_cache_valid 600s;\n\
             \x20 client_body_temp_path {home}/t1;\n  proxy_temp_path {home}/t2;\n  fastcgi_temp_path {home}/t3;\n\
             \x20 uwsgi_temp_path {home}/t4;\n  scgi_temp_path {home}/t5;\n\
             \x20 server {{ listen 127.0.0.1:{port}; root {root}; default_type application/octet-stream; }}\n}}\n"
        );
        let path = scratch.file("nginx.conf");
        std::fs::write(&path, config)?;
        let mut command = Command::new(nginx);
        command.arg("-c").arg(&path).arg("-e").arg(scratch.file("nginx.err"));
        let mut service = Service::start("nginx", &mut command, &scratch.file("nginx.log"))?;
        service.wait_for_port(port, LIMIT)?;
        Ok(Self { service, address: ([127, 0, 0, 1], port).into() })
    }

    /// Master and workers.
    fn processes(&self) -> Result<Vec<u32>> {
        let id = self.service.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let mut all = vec![id];
        all.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
        Ok(all)
    }
}

/// Debian puts servers where only root looks.
fn find_in_sbin() -> Option<PathBuf> {
    Some(PathBuf::from("/usr/sbin/nginx")).filter(|path| path.exists())
}
