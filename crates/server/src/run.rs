//! All configured services in one process: started together, announced once, stopped in order.
//!
//! Requests are drained first, then the logs behind them are closed: what was accepted is answered.

use crate::{
    ca,
    clock::Clock,
    config::{ADMIN, Config, PublicUrl},
    ctlog, files,
    http::{self, Service, Shutdown, Within},
    instance::Instance,
    listen::Bound,
    metrics::{self, Shown},
    oidc, rekor, trust, tsa,
};
use anyhow::Context as _;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};

/// How soon a stopped log ends the process.
const HEALTH_INTERVAL: Duration = Duration::from_millis(500);

/// Sockets bound before their service was configured (`dev` chooses ports by binding them).
pub type Sockets = BTreeMap<&'static str, Bound>;

/// The ready line: what answers where.
#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    event: &'static str,
    /// URL by service name.
    pub services: BTreeMap<&'static str, PublicUrl>,
    /// The directory with what a client needs.
    pub client: PathBuf,
}

impl Ready {
    /// One line of JSON, without the line's end.
    ///
    /// # Errors
    /// When the directory's name is not UTF-8.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

/// The signals that ask us to stop: SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes them from here on; before, they would have ended the process at once.
    ///
    /// # Errors
    /// When they cannot be received.
    pub fn take() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Services that are up.
pub struct Running {
    ready: Ready,
    shutdown: Shutdown,
    tasks: JoinSet<()>,
    failures: Vec<(&'static str, http::Failure)>,
    /// Keeps the data directory locked until the last log is closed.
    instance: Instance,
}

impl Running {
    /// Starts every configured service and writes the files for clients.
    ///
    /// # Errors
    /// When any of them cannot start; those that did are stopped again.
    pub async fn start(config: &Config, clock: Clock, mut sockets: Sockets) -> anyhow::Result<Self> {
        let instance = Instance::open(config, clock)?;
        // Every port first: a start that cannot succeed should fail before any log is opened.
        for (name, listen) in config.listens() {
            if !sockets.contains_key(name) {
                sockets.insert(name, Bound::bind(*listen)?);
            }
        }
        let services = services(config, &instance).await?;
        let client = config.client_dir();
        let told = services.iter().filter(|service| !service.internal);
        let urls = told.map(|service| (service.name, service.url.clone())).collect();
        let ready = Ready { event: "ready", services: urls, client: absolute(&client) };
        trust::write(config, &instance, &client).context("writing the files for clients")?;
        let line = ready.to_json()?;
        let path = client.join("services.json");
        files::replace(&path, format!("{line}\n").as_bytes(), files::MODE_PUBLIC)
            .with_context(|| format!("writing {}", path.display()))?;
        let shutdown = Shutdown::default();
        let failures = services.iter().map(|s| (s.name, Arc::clone(&s.failure))).collect();
        let mut tasks = JoinSet::new();
        if let Some(bound) = sockets.remove(ADMIN) {
            tasks.spawn(http::serve(bound, admin(&services)?, shutdown.clone()));
        }
        for service in services {
            if let Some(bound) = sockets.remove(service.name) {
                tracing::info!(service = service.name, url = %service.url, port = bound.port(), "serving");
                tasks.spawn(http::serve(bound, service, shutdown.clone()));
            }
        }
        Ok(Self { ready, shutdown, tasks, failures, instance })
    }

    /// What answers where.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Waits for a signal to stop, or for a service that can serve no more.
    ///
    /// # Errors
    /// When a service can serve no more.
    pub async fn until_asked(&mut self, signals: &mut Signals) -> anyhow::Result<()> {
        tokio::select! {
            () = signals.asked() => Ok(()),
            Some(_) = self.tasks.join_next() => anyhow::bail!("a service ended by itself"),
            failed = first_failure(&self.failures) => Err(failed),
        }
    }

    /// Writes the files for clients again: another log is the one to write to.
    pub fn write_trust(&self, config: &Config) {
        match trust::write(config, &self.instance, &config.client_dir()) {
            Ok(()) => tracing::info!("another log has taken over; the files for clients name it"),
            Err(error) => {
                tracing::error!(error = %format!("{error:#}"), "the files for clients could not be written");
            }
        }
    }

    /// Finishes what was accepted and stops.
    pub async fn stop(mut self) {
        self.shutdown.trigger();
        while self.tasks.join_next().await.is_some() {}
        drop(self.instance);
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("ready", &self.ready).finish_non_exhaustive()
    }
}

/// `/metrics` of all services.
fn admin(services: &[Service]) -> anyhow::Result<Service> {
    let shown = services
        .iter()
        .map(|service| Shown {
            service: service.name,
            counters: Arc::clone(&service.counters),
            entries: service.entries.clone(),
            counts: service.counts.clone(),
        })
        .collect();
    // Nobody is ever told this URL.
    let url = PublicUrl::parse("http://localhost").map_err(anyhow::Error::msg)?;
    Ok(Service::new(ADMIN, url, metrics::router(shown)))
}

/// A log that stopped for good answers nothing until it is read again: whoever supervises us restarts us.
async fn first_failure(failures: &[(&'static str, http::Failure)]) -> anyhow::Error {
    loop {
        for (name, failure) in failures {
            if let Some(reason) = failure() {
                return anyhow::anyhow!("{name} has stopped: {reason}; start again to recover it");
            }
        }
        tokio::time::sleep(HEALTH_INTERVAL).await;
    }
}

async fn services(config: &Config, instance: &Instance) -> anyhow::Result<Vec<Service>> {
    let mut services = Vec::new();
    let started = async {
        if let Some(table) = &config.oidc {
            services.push(oidc::start(instance, table, &config.data_dir).context("starting oidc")?);
        }
        if let Some(table) = &config.rekor {
            for period in table.periods() {
                let started = rekor::start(instance, &period).await;
                services.extend(started.with_context(|| format!("starting {}", period.name))?);
            }
        }
        if let Some(table) = &config.ctlog {
            for period in table.periods() {
                let started = ctlog::start(instance, table, &period).await;
                services.extend(started.with_context(|| format!("starting {}", period.name))?);
            }
        }
        if let Some(table) = &config.ca {
            let periods = config.ctlog.as_ref().map(ctlog::config::Config::periods).unwrap_or_default();
            let own = periods.iter().filter_map(|period| {
                let service = services.iter().find(|service| service.name == period.name)?;
                Some((period.start.map_or(i64::MIN, |start| start.0), service.within()))
            });
            let ctlog = ctlog_for_ca(table, own.collect())?;
            services.push(ca::start(instance, table, ctlog).context("starting ca")?);
        }
        if let Some(table) = &config.tsa {
            services.push(tsa::start(instance, table).context("starting tsa")?);
        }
        anyhow::Ok(())
    }
    .await;
    if let Err(error) = started {
        for service in services {
            if let Some(close) = service.close {
                close.await;
            }
        }
        return Err(error);
    }
    Ok(services)
}

/// The log that the configuration names, or our own, which shares the process: a connection between the two
/// would only add a way to fail.
fn ctlog_for_ca(table: &ca::config::Config, own: Vec<(i64, Within)>) -> anyhow::Result<ca::CtLog> {
    match (&table.ctlog_url, &table.ctlog_key) {
        (Some(url), Some(path)) => {
            let pem = String::from_utf8(files::read_bounded(path, ca::config::MAX_KEY_FILE)?)?;
            let key = sealog_crypto::PublicKey::from_pem(&pem)
                .with_context(|| format!("reading the log's public key from {}", path.display()))?;
            Ok(ca::CtLog::Elsewhere { url: url.as_str().to_owned(), key })
        }
        (None, _) if !own.is_empty() => Ok(ca::CtLog::Within(own)),
        _ => anyhow::bail!("[ca] needs [ctlog], or `ctlog_url` and `ctlog_key` together"),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
