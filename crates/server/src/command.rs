//! The command line of `sealogd`: what each command does, and how failures are told.
//!
//! Exit status: 0 done, 1 refused (a demonstration or check that did not hold), 2 usage or configuration,
//! 3 could not (port taken, directory in use, disk or network). Data goes to stdout, talk to stderr.

use crate::{
    authority::{
        command::{self as authority, AuthorityCommand, NotConfigured},
        offline::OfflineError,
        renewal::RenewalError,
    },
    ca::import,
    clock::Clock,
    config::{Config, ConfigError},
    demo, dev, files,
    fsck::{self, FsckError},
    instance::InstanceError,
    keys::KeyStoreError,
    kms::CloudKeyError,
    listen::BindError,
    oidc, periods,
    pkcs11::TokenError,
    run::{Running, Signals, Sockets},
    setup::{self, Made},
    transfer::{self, Elsewhere, NotNewest, NothingMissing, UnknownLog, Way},
};
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use sealog_log_engine::{OpenError, TransferError, Unsound};
use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// Refused: what was checked does not hold.
const REFUSED: u8 = 1;
/// Usage or configuration.
const USAGE: u8 = 2;
/// Could not.
const FAILED: u8 = 3;
/// File descriptors wanted: a connection is one.
const FILES_WANTED: u64 = 65_536;

/// How soon after its start a log is named as the one to write to.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);
/// Threads that may wait for something. The allocator keeps some megabytes for each that ever ran.
const MAX_BLOCKED: usize = 128;

/// Every Sealog service in one process: identity, certificates, logs, timestamps.
#[derive(Parser)]
#[command(name = "sealogd", version, after_help = "Example: sealogd dev --dir ./sealog-dev")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the whole journey in a temporary directory: sign, verify, refuse, watch
    Demo {
        /// The file to sign; the README unless given
        file: Option<PathBuf>,
    },
    /// Run every service on this machine, with an identity provider that trusts you
    Dev {
        /// Where everything is kept; made at the first start
        #[arg(long)]
        dir: PathBuf,
        /// First of five ports; 0 picks free ones the first time and remembers them
        #[arg(long, default_value_t = 0)]
        base_port: u16,
    },
    /// Create the keys, certificates and logs of a configuration that are missing; existing ones are never touched
    #[command(after_help = "Example: sealogd init --config sealog.toml")]
    Init {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// Say what would run, and anything wrong with it
    Check {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// Run the configured services until SIGTERM, after `init`; a line of JSON says when all of them answer
    #[command(after_help = "Example: sealogd run --config sealog.toml")]
    Run {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// Read whole logs and recompute everything in them; nothing is changed. Exit status 1: something does not hold
    #[command(group = clap::ArgGroup::new("log").required(true))]
    #[command(after_help = "Examples: sealogd fsck --config sealog.toml\n          \
        sealogd fsck --config sealog.toml --backup /mnt/backup\n          \
        sealogd fsck --url https://rekor.example.org")]
    Fsck {
        /// All logs of this configuration file, where they are kept; those that nobody runs also from within
        #[arg(long, group = "log")]
        config: Option<PathBuf>,
        /// With --config: the backup of these logs in their place, as `sealogd backup` wrote it
        #[arg(long, requires = "config", value_name = "DIR")]
        backup: Option<PathBuf>,
        /// Any log, ours or another's, over HTTP; its signature is not checked
        #[arg(long, group = "log")]
        url: Option<String>,
    },
    /// Move a log that nobody runs to another place: it goes on there, and takes no more entries where it was
    #[command(
        after_help = "Name the new place in the configuration afterwards. For a copy that is only kept, see \
        `sealogd backup`.\n\nExample: sealogd export --config sealog.toml --log rekor --to s3://logs/rekor"
    )]
    Export {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
        /// The log: rekor, ctlog, or the name of a shard
        #[arg(long)]
        log: String,
        /// A new or empty directory, or s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX without a log
        #[arg(long, value_name = "DIR|URL")]
        to: String,
        #[command(flatten)]
        store: Elsewhere,
    },
    /// Move a log that nobody runs from another place to where the configuration keeps it; none may be there yet
    #[command(after_help = "In the other place it takes no more entries.\n\n\
        Example: sealogd import --config sealog.toml --log rekor --from s3://logs/rekor")]
    Import {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
        /// The log: rekor, ctlog, or the name of a shard
        #[arg(long)]
        log: String,
        /// A log's directory, or s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX
        #[arg(long, value_name = "DIR|URL")]
        from: String,
        #[command(flatten)]
        store: Elsewhere,
    },
    /// Copy what is new of every log to a backup, while they run or not; keys are not copied
    #[command(after_help = "Example: sealogd backup --config sealog.toml --to /mnt/backup")]
    Backup {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
        /// The backup's directory, with one for each log in it: the same each time
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Put lost logs back from a backup or mirror, unless their keys have signed more than it has
    #[command(after_help = "The keys must be back first. Logs that are there are left untouched.\n\n\
        Examples: sealogd restore --config sealog.toml --from /mnt/backup\n          \
        sealogd restore --config sealog.toml --from https://mirror.example.org --log rekor \\\n            \
        --newest-checkpoint https://monitor.example.org/rekor --newest-checkpoint a.sigstore.json")]
    Restore {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
        /// The directory that `sealogd backup` wrote; or, with --log, the URL of a mirror
        #[arg(long, value_name = "DIR|URL")]
        from: String,
        /// One log alone: rekor, ctlog, or the name of a shard
        #[arg(long)]
        log: Option<String>,
        /// The newest checkpoint that others have of this log: a file with it, a bundle, or the URL of a mirror; once for
        /// each of them. Needed after a kill, and for a log that was in a bucket
        #[arg(long = "newest-checkpoint", requires = "log", value_name = "FILE|URL")]
        newest_checkpoints: Vec<String>,
    },
    /// Request, sign and install the certificates of an authority, its root staying offline
    #[command(subcommand)]
    Authority(AuthorityCommand),
    /// Write `[[ca.issuers]]` tables from a configuration of Fulcio's, and say what could not be carried
    ImportFulcio {
        /// Its YAML or JSON file
        file: PathBuf,
    },
    /// Print an identity token of a dev instance
    #[command(group = clap::ArgGroup::new("who").required(true))]
    Token {
        /// The directory of `sealogd dev`
        #[arg(long)]
        dir: PathBuf,
        /// Whose address the token is about
        #[arg(long, group = "who")]
        email: Option<String>,
        /// A JSON file with the claims of a build system's token
        #[arg(long, group = "who", value_name = "FILE")]
        claims: Option<PathBuf>,
        /// For whom the token is
        #[arg(long, default_value = "sigstore")]
        audience: String,
    },
}

/// Parses the command line, does what it says, and tells how it went.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let talkative = matches!(cli.command, Command::Run { .. });
    init_log(if talkative { "info" } else { "warn" });
    prepare_process();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.enable_all().max_blocking_threads(MAX_BLOCKED).build() {
        Ok(runtime) => runtime,
        Err(error) => return tell(&error.into()),
    };
    let done = runtime.block_on(obey(cli.command));
    // Blocked threads (a name lookup, say) must not hold up the end.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => tell(&error),
    }
}

async fn obey(command: Command) -> anyhow::Result<()> {
    let clock = Clock::system();
    match command {
        Command::Demo { file } => demo::run(file.as_deref()).await,
        Command::Dev { dir, base_port } => {
            talk(dev::WARNING)?;
            let (config, sockets) = dev::prepare(&dir, base_port, clock.clone())?;
            serve(&config, clock, sockets).await
        }
        Command::Run { config } => serve(&Config::load(&config)?, clock, Sockets::new()).await,
        Command::Init { config } => {
            let done = setup::init(&Config::load(&config)?, clock)?;
            for (service, made) in &done {
                talk(match made {
                    Made::New => format!("{service:<8} created"),
                    Made::Existing => format!("{service:<8} exists, left untouched"),
                })?;
            }
            match done.iter().any(|(_, made)| *made == Made::New) {
                true => Ok(()),
                false => Err(NothingToDo.into()),
            }
        }
        Command::Check { config } => {
            for line in setup::check(&Config::load(&config)?, clock)? {
                data(&line)?;
            }
            Ok(())
        }
        Command::Fsck { config: Some(config), backup, .. } => {
            let config = Config::load(&config)?;
            let reports = match backup {
                Some(backup) => fsck::of_backup(&config, &clock, backup).await?,
                None => fsck::of_config(&config, &clock).await?,
            };
            reports.iter().try_for_each(|report| data(&report.to_string()))
        }
        Command::Export { config, log, to, store } => {
            data(&transfer::carry(&Config::load(&config)?, &clock, &log, Way::Out, &to, &store).await?)?;
            talk(
                "where it was it takes no more entries: name the new place in the configuration before it runs again",
            )
        }
        Command::Import { config, log, from, store } => {
            data(&transfer::carry(&Config::load(&config)?, &clock, &log, Way::In, &from, &store).await?)
        }
        Command::Backup { config, to } => {
            let config = Config::load(&config)?;
            let (lines, warnings) = transfer::backup(&config, &clock, &to).await?;
            warnings.iter().try_for_each(|line| talk(format!("warning: {line}")))?;
            talk(format!("the keys in {} are not in it: keep them elsewhere", config.keys_dir().display()))?;
            lines.iter().try_for_each(|line| data(line))
        }
        Command::Restore { config, from, log, newest_checkpoints: newest } => {
            let config = Config::load(&config)?;
            let lines = transfer::put_back(&config, &clock, &from, log.as_deref(), &newest).await?;
            lines.iter().try_for_each(|line| data(line))
        }
        Command::Fsck { url, .. } => data(&fsck::of_url(&url.unwrap_or_default()).await?.to_string()),
        Command::Authority(command) => {
            let done = authority::obey(&command, &clock)?;
            done.talk.iter().try_for_each(talk)?;
            match done.data.is_empty() {
                true => Ok(()),
                false => data(done.data.trim_end()),
            }
        }
        Command::ImportFulcio { file } => import_fulcio(&file),
        Command::Token { dir, email, claims, audience } => {
            let config = Config::load(&dev::config_path(&dir))?;
            let asked = match (email, claims) {
                (Some(email), _) => oidc::DevToken::Email(email),
                (None, Some(path)) => oidc::DevToken::Claims(path),
                (None, None) => anyhow::bail!("--email or --claims is needed"),
            };
            data(&oidc::dev_token(&config, &clock, &asked, &audience)?)
        }
    }
}

fn import_fulcio(file: &Path) -> anyhow::Result<()> {
    let content = files::read_bounded(file, import::MAX_FILE)
        .map_err(|source| ConfigError::Io { path: file.to_owned(), source })?;
    let text = String::from_utf8(content).map_err(|_| NotFulcios { path: file.to_owned() })?;
    let imported = import::import(&text).with_context(|| NotFulcios { path: file.to_owned() })?;
    data(imported.tables.trim_end())?;
    for note in &imported.notes {
        talk(format!("note: {note}"))?;
    }
    for reason in &imported.left_out {
        talk(format!("left out: {reason}"))?;
    }
    match imported.left_out.len() {
        0 => Ok(()),
        issuers => Err(LeftOut { issuers }.into()),
    }
}

/// A file that is not what it was said to be.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be carried over", path.display())]
struct NotFulcios {
    path: PathBuf,
}

/// What was printed is not all there was.
#[derive(Debug, thiserror::Error)]
#[error("{issuers} of the issuers could not be carried; the tables of all others were printed")]
struct LeftOut {
    issuers: usize,
}

async fn serve(config: &Config, clock: Clock, sockets: Sockets) -> anyhow::Result<()> {
    // Before the ready line: whoever reads it may stop us in the same moment.
    let mut signals = Signals::take()?;
    let mut running = Running::start(config, clock.clone(), sockets).await?;
    data(&running.ready().to_json()?)?;
    let ended = loop {
        tokio::select! {
            ended = running.until_asked(&mut signals) => break ended,
            () = another_period(config, &clock) => running.write_trust(config),
        }
    };
    running.stop().await;
    ended
}

/// Until the next log takes over, if any will. By the clock, which may be set meanwhile.
async fn another_period(config: &Config, clock: &Clock) {
    let Some(start) = periods::next_start(config, clock.unix_seconds()) else {
        return std::future::pending().await;
    };
    while clock.unix_seconds() < start {
        tokio::time::sleep(CLOCK_INTERVAL).await;
    }
}

/// `init` found everything in place.
#[derive(Debug, thiserror::Error)]
#[error("everything this configuration needs exists already; nothing was changed")]
struct NothingToDo;

fn data(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn talk(line: impl AsRef<str>) -> anyhow::Result<()> {
    Ok(writeln!(io::stderr().lock(), "{}", line.as_ref())?)
}

/// The error with its causes, each once, then what to do about it.
fn tell(error: &anyhow::Error) -> ExitCode {
    let mut text = String::from("error: ");
    let mut last = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let line = cause.to_string();
        // Transparent errors repeat their cause word for word.
        if line == last {
            continue;
        }
        if depth > 0 {
            text.push_str("\n  because ");
        }
        text.push_str(&line.trim_end().replace('\n', "\n  "));
        last = line;
    }
    let advice = error.chain().find_map(advice);
    if let Some((_, Some(hint))) = &advice {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    let _ = talk(text);
    ExitCode::from(advice.map_or(FAILED, |(status, _)| status))
}

/// Exit status and hint, where the error is one we know.
fn advice(cause: &(dyn std::error::Error + 'static)) -> Option<(u8, Option<&'static str>)> {
    if cause.is::<NothingToDo>() || cause.is::<NotConfigured>() || cause.is::<OfflineError>() {
        return Some((USAGE, None));
    }
    if cause.is::<NotFulcios>() {
        return Some((USAGE, Some("give Fulcio's own file, such as its config/identity/config.yaml")));
    }
    if cause.is::<LeftOut>() {
        return Some((REFUSED, Some("write a table for each by hand: docs/reference/configuration.md")));
    }
    if cause.is::<demo::NotAsItMustBe>() {
        return Some((REFUSED, None));
    }
    if let Some(error) = cause.downcast_ref::<FsckError>() {
        let keep = "nothing was changed; keep a copy before anything is repaired";
        return match error {
            FsckError::Public { source: Unsound::Io { .. }, .. } => Some((FAILED, None)),
            FsckError::Public { .. } => Some((REFUSED, Some(keep))),
            FsckError::Within { source, .. } => Some((status_of(source), source.hint().or(Some(keep)))),
        };
    }
    if cause.is::<UnknownLog>() || cause.is::<NothingMissing>() {
        return Some((USAGE, None));
    }
    if cause.is::<NotNewest>() {
        return Some((
            USAGE,
            Some("give a file with the log's checkpoint, a bundle with an entry of it, or its URL"),
        ));
    }
    if let Some(error) = cause.downcast_ref::<TransferError>() {
        let status = match error {
            TransferError::Unsound(Unsound::Io { .. }) => FAILED,
            TransferError::Open(
                OpenError::AlreadyExists { .. } | OpenError::NotEmpty { .. } | OpenError::Closed { .. },
            ) => USAGE,
            TransferError::Open(error) => status_of(error),
            _ => REFUSED,
        };
        return Some((status, transfer::hint(error)));
    }
    if let Some(error) = cause.downcast_ref::<ConfigError>() {
        return match error {
            // Transparent errors stand in the chain in place of what they hold.
            ConfigError::Passphrase(inner) => advice(inner),
            ConfigError::Io { .. } => Some((USAGE, Some("give the configuration with --config FILE"))),
            _ => Some((USAGE, Some("every setting is described in docs/reference/configuration.md"))),
        };
    }
    if let Some(error) = cause.downcast_ref::<BindError>() {
        let taken = error.source.kind() == io::ErrorKind::AddrInUse;
        return Some((
            FAILED,
            taken.then_some("another program has this port: stop it, or choose another port"),
        ));
    }
    if let Some(error) = cause.downcast_ref::<InstanceError>() {
        return match error {
            InstanceError::Missing(_) => Some((USAGE, Some("run `sealogd init --config FILE` first"))),
            InstanceError::InUse(_) => {
                Some((FAILED, Some("stop the other sealogd first, or use another directory")))
            }
            InstanceError::Newer { .. } => Some((USAGE, Some("run the newer sealogd that made it"))),
            InstanceError::Malformed(_) => Some((FAILED, Some("restore the file from a backup"))),
            InstanceError::Io { .. } => Some((FAILED, None)),
            InstanceError::Config(inner) => advice(inner),
            InstanceError::Keys(inner) => advice(inner),
        };
    }
    if let Some(error) = cause.downcast_ref::<KeyStoreError>() {
        return Some(match error {
            KeyStoreError::Missing(_) => (USAGE, Some("run `sealogd init --config FILE` first")),
            KeyStoreError::Exposed { .. } => (
                USAGE,
                Some("others may have read it: decide whether it must be replaced, then `chmod go-rwx` it"),
            ),
            KeyStoreError::WrongPassphrase(_) => {
                (USAGE, Some("check `passphrase_file` or `passphrase_credential`; nothing was changed"))
            }
            KeyStoreError::NoParameters(_) => {
                (USAGE, Some("copy it from where the keys were made, or from a backup"))
            }
            KeyStoreError::NeedsPassphrase(_) | KeyStoreError::NotSealed(_) => {
                (USAGE, Some("set exactly one of `passphrase_file`, `passphrase_credential`, `plain_keys`"))
            }
            KeyStoreError::Newer { .. } => (USAGE, Some("run the newer sealogd that made it")),
            KeyStoreError::Exists(_) => (USAGE, None),
            KeyStoreError::Misplaced { .. } => {
                (USAGE, Some("correct the table of keys, or move the file away once the key is there"))
            }
            KeyStoreError::Cloud(error) => return advice(error),
            KeyStoreError::Token(error) => return advice(error),
            _ => (FAILED, None),
        });
    }
    if let Some(error) = cause.downcast_ref::<RenewalError>() {
        return match error {
            RenewalError::Keys(inner) => advice(inner),
            RenewalError::Request(_) => None,
            RenewalError::Chain(_) => Some((REFUSED, error.hint())),
            _ => Some((USAGE, error.hint())),
        };
    }
    if let Some(error) = cause.downcast_ref::<CloudKeyError>() {
        return Some((if error.is_setting() { USAGE } else { FAILED }, error.hint()));
    }
    if let Some(error) = cause.downcast_ref::<TokenError>() {
        let status = if error.is_setting() { USAGE } else { FAILED };
        return Some((status, error.hint()));
    }
    if let Some(error) = cause.downcast_ref::<OpenError>() {
        // The configuration names a place that the log has left.
        let status = if matches!(error, OpenError::Closed { .. }) { USAGE } else { FAILED };
        return Some((status, error.hint()));
    }
    None
}

/// Of a log that was looked at: one that disagrees with itself is refused.
fn status_of(error: &OpenError) -> u8 {
    match error {
        OpenError::Disagreement { .. } | OpenError::UnknownFormat { .. } => REFUSED,
        _ => FAILED,
    }
}

fn init_log(default: &str) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours)
        .try_init();
}

/// No core dump may hold keys; and every connection needs a file descriptor.
fn prepare_process() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let files = getrlimit(Resource::Nofile);
    let most = files.maximum.unwrap_or(FILES_WANTED);
    if files.current.is_some_and(|current| current < most.min(FILES_WANTED)) {
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit { current: Some(most.min(FILES_WANTED)), maximum: files.maximum },
        );
    }
}
