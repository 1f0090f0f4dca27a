//! `sealog watch`: looks at the logs again and again, and tells what happens in somebody's name.
//!
//! What a log may not do is decided in `sealog_client::watch`; here is when to look, whom to tell, and how
//! it ends. Events are told first and remembered after: whoever is stopped in between hears them twice.

use crate::{
    args::VerifyingTrustArgs,
    failure::{Failure, Status, chain},
    output, trust,
};
use clap::{Args, ValueEnum};
use sealog_bundle::UnixTime;
use sealog_client::{
    clock,
    http::{self, Client},
    watch::{
        Alarm, Event, HttpSource, Interest, LogDescription, LogState, StateError, StateFile, Stop,
        follow_once, start_from_now,
    },
};
use sealog_verify::verdict::shown;
use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::task::JoinSet;

/// Between two looks at logs on this machine.
const LOCAL_INTERVAL: Duration = Duration::from_millis(250);
/// Between two looks at logs elsewhere.
const REMOTE_INTERVAL: Duration = Duration::from_secs(5);
/// The longest wait while a log cannot be read, unless the interval is longer.
const MAX_TROUBLE_WAIT: Duration = Duration::from_secs(10);

/// Shown before the options.
pub(crate) const EXAMPLE: &str = "Examples:
  sealog watch --identity ann@example.org --trust ./client --state ann.watch
  sealog watch --identity ann@example.org --trust ./client --state ann.watch --once --json
  sealog watch --identity ann@example.org --trust ./client --from now --exec 'notify-send \"$SEALOG_EVENT\"'
";

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The name to watch for: an email address, URI or name, exactly
    #[arg(long, value_name = "ID", alias = "certificate-identity")]
    pub(crate) identity: String,
    /// Only where this OpenID provider vouched for the name, exactly
    #[arg(long, value_name = "URL", alias = "certificate-oidc-issuer")]
    pub(crate) issuer: Option<String>,
    /// Remember here how far each log was read and what it signed
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Where to begin in a log that is not in the state file
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Begin::Beginning)]
    pub(crate) from: Begin,
    /// Leave out logs whose time has ended; what was logged last in them may then go unread
    #[arg(long)]
    pub(crate) current: bool,
    /// Read what there is, then end
    #[arg(long)]
    pub(crate) once: bool,
    /// How long to wait between two looks, as 250ms or 5s [default: 250ms for logs on this machine, else 5s]
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "once")]
    pub(crate) interval: Option<Duration>,
    /// Run this shell command for each event, which it gets as JSON on standard input and in SEALOG_EVENT
    #[arg(long, value_name = "CMD")]
    pub(crate) exec: Option<String>,
    /// One JSON object per event
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) trust: VerifyingTrustArgs,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Begin {
    /// With the log's first entry
    Beginning,
    /// With the next entry; earlier ones are not read
    Now,
}

/// Reads `250ms`, `5s` or `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err("a number with ms, s or m is expected".to_owned()),
    };
    let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    millis.map(Duration::from_millis).ok_or_else(|| "a number with ms, s or m is expected".to_owned())
}

pub(crate) fn watch(args: &WatchArgs) -> Result<Status, Failure> {
    let root = trust::for_verifying(&args.trust)?;
    let now = UnixTime::from_millis(clock::unix_millis());
    let unusable = |error: &dyn std::error::Error| Failure::of(Status::Unable, "trust-root", error);
    let logs = if args.current { LogDescription::all(&root, now) } else { LogDescription::every(&root) };
    let logs = logs.map_err(|error| unusable(&error))?;
    if logs.is_empty() {
        return Err(Failure::unable("trust-root", "the trusted root names no log to follow"));
    }
    let interest = Interest::new(&args.identity, args.issuer.as_deref(), &root)
        .map_err(|error| Failure::of(Status::Usage, "usage", &error))?;
    let memory = match &args.state {
        Some(path) => Some(StateFile::open(path, &interest).map_err(|error| unusable_state(&error))?),
        None => None,
    };
    announce(args, &logs, memory.as_ref());

    let here = logs.iter().all(|log| http::is_loopback(&log.url));
    let usual = if here { LOCAL_INTERVAL } else { REMOTE_INTERVAL };
    let watcher = Watcher {
        interest,
        memory: memory.map(Mutex::new),
        from: args.from,
        exec: args.exec.clone(),
        json: args.json,
        interval: args.interval.unwrap_or(usual).max(Duration::from_millis(1)),
        client: Arc::new(Client::new()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::of(Status::Unable, "runtime", &error))?;
    runtime.block_on(async {
        if args.once { Ok(watcher.once(logs).await) } else { Err(Arc::new(watcher).follow(logs).await) }
    })
}

fn announce(args: &WatchArgs, logs: &[LogDescription], memory: Option<&StateFile>) {
    let names: Vec<_> = logs.iter().map(|log| shown(log.url.as_str())).collect();
    output::talk(&format!("watching for {} in {}", shown(&args.identity), names.join(" and ")));
    match memory {
        None => output::talk("nothing is remembered after this run; --state FILE would"),
        Some(memory) => {
            for origin in memory.left_behind(logs) {
                let origin = shown(origin);
                output::talk(&format!("log `{origin}` was followed before and is left out now"));
            }
        }
    }
}

fn unusable_state(error: &StateError) -> Failure {
    Failure::of(Status::Usage, "state", error).hint(match error {
        StateError::Io { .. } => {
            "nothing was changed; the watch writes this file and, beside it, FILE.lock and FILE.new"
        }
        StateError::InUse { .. } => "end the other watch, or give this one a state file of its own",
        _ => {
            "nothing was changed; another name or trusted root needs a state file of its own, and a damaged \
             one should be kept and looked into before it is replaced"
        }
    })
}

/// What all looks have in common.
struct Watcher {
    interest: Interest,
    memory: Option<Mutex<StateFile>>,
    from: Begin,
    exec: Option<String>,
    json: bool,
    interval: Duration,
    client: Arc<Client>,
}

/// Why a look did not end well.
enum Ended {
    /// The log misbehaves.
    Alarm(Box<Alarm>),
    /// May pass: the network, or the user's command.
    Trouble(Failure),
    /// Will not pass: the state file.
    Broken(Failure),
}

impl From<Stop> for Ended {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Alarm(alarm) => Self::Alarm(alarm),
            trouble @ Stop::Trouble { .. } => {
                Self::Trouble(Failure::of(Status::Unable, "unreachable", &trouble))
            }
        }
    }
}

/// A log and how far it is read.
struct Reading {
    log: LogDescription,
    source: HttpSource,
    state: Option<LogState>,
}

impl Watcher {
    /// Reads every log to its end. One log's trouble does not keep the others from being read.
    async fn once(&self, logs: Vec<LogDescription>) -> Status {
        let mut worst = Status::Done;
        for log in logs {
            let ended = self.read_to_end(log).await;
            let Err(ended) = ended else { continue };
            let failure = self.failure(ended);
            failure.tell();
            if worst != Status::Refused {
                worst = failure.status;
            }
        }
        worst
    }

    async fn read_to_end(&self, log: LogDescription) -> Result<(), Ended> {
        let mut reading = self.begin(log)?;
        while self.look(&mut reading).await? {}
        let size = reading.state.as_ref().map_or(0, LogState::size);
        let origin = shown(&reading.log.origin);
        output::talk(&format!("log `{origin}` is read to its end, size {size}"));
        Ok(())
    }

    /// Follows every log until something ends it that will not pass.
    async fn follow(self: Arc<Self>, logs: Vec<LogDescription>) -> Failure {
        let mut tasks = JoinSet::new();
        for log in logs {
            let watcher = Arc::clone(&self);
            tasks.spawn(async move { watcher.follow_log(log).await });
        }
        match tasks.join_next().await {
            Some(Ok(ended)) => self.failure(ended),
            Some(Err(_)) | None => Failure::unable("watch", "a watcher ended without a reason"),
        }
    }

    async fn follow_log(&self, log: LogDescription) -> Ended {
        let mut reading = match self.begin(log) {
            Ok(reading) => reading,
            Err(ended) => return ended,
        };
        let origin = shown(&reading.log.origin);
        let mut troubles: u32 = 0;
        loop {
            let wait = match self.look(&mut reading).await {
                Ok(more) => {
                    if troubles > 0 {
                        output::talk(&format!("log `{origin}` is read again"));
                        troubles = 0;
                    }
                    if more { Duration::ZERO } else { self.interval }
                }
                Err(Ended::Trouble(failure)) => {
                    // Said when it begins; a network that stays away need not be told each time.
                    if troubles == 0 {
                        output::talk(&format!("{}; trying again", shown(&failure.message)));
                    }
                    troubles = troubles.saturating_add(1);
                    let longer = self.interval.saturating_mul(1 << troubles.min(16));
                    longer.min(MAX_TROUBLE_WAIT).max(self.interval)
                }
                Err(ended) => return ended,
            };
            tokio::time::sleep(wait).await;
        }
    }

    fn begin(&self, log: LogDescription) -> Result<Reading, Ended> {
        let state = match &self.memory {
            Some(memory) => {
                let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                memory.state_of(&log).map_err(|error| Ended::Broken(unusable_state(&error)))?
            }
            None => None,
        };
        let source = HttpSource::new(Arc::clone(&self.client), log.url.clone());
        Ok(Reading { log, source, state })
    }

    /// One look: read, tell, remember. Whether there is more to read at once.
    async fn look(&self, reading: &mut Reading) -> Result<bool, Ended> {
        let Reading { log, source, state } = reading;
        let before = match (&state, self.from) {
            (Some(state), _) => state,
            (None, Begin::Beginning) => &LogState::beginning(),
            (None, Begin::Now) => {
                let now = start_from_now(log, source).await?;
                self.keep(log, &now)?;
                let (origin, size) = (shown(&log.origin), now.size());
                output::talk(&format!("log `{origin}` is followed from entry {size} on"));
                state.insert(now)
            }
        };
        let step = follow_once(before, log, &self.interest, source).await?;
        for event in step.events {
            self.tell(event).await?;
        }
        if step.changed {
            self.keep(log, &step.state)?;
        }
        *state = Some(step.state);
        Ok(step.more)
    }

    async fn tell(&self, event: Event) -> Result<(), Ended> {
        let json = event.to_json();
        let line = if self.json { json.clone() } else { shown(&event.to_string()) };
        // An event that nobody took was not told: the cursor stays before it.
        let untold = |failure: Failure| Ended::Broken(failure.hint("the entry will be told again"));
        output::deliver(&format!("{line}\n")).map_err(untold)?;
        let Some(command) = self.exec.clone() else { return Ok(()) };
        let ran = tokio::task::spawn_blocking(move || run(&command, &json)).await;
        let why = match ran {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(cause)) => cause.to_string(),
            Err(_) => "it could not be started".to_owned(),
        };
        let message = format!("the command for entry {} of `{}` failed: {why}", event.log_index, event.log);
        Err(Ended::Trouble(Failure::unable("exec", message).hint("the entry will be told again")))
    }

    fn keep(&self, log: &LogDescription, state: &LogState) -> Result<(), Ended> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.keep(log, state).map_err(|error| {
            let failure = Failure::of(Status::Unable, "state", &error);
            Ended::Broken(failure.hint("what was told last will be told again"))
        })
    }

    /// How a run ends because of it.
    fn failure(&self, ended: Ended) -> Failure {
        match ended {
            Ended::Trouble(failure) | Ended::Broken(failure) => failure,
            Ended::Alarm(alarm) => {
                if self.json {
                    // The failure itself is told in any case.
                    let _ = output::data(&format!("{}\n", alarm_json(&alarm)));
                }
                for signed in &alarm.evidence {
                    let lines: Vec<_> = signed.lines().map(|line| format!("  | {}", shown(line))).collect();
                    output::talk(&format!("checkpoint served by the log:\n{}", lines.join("\n")));
                }
                Failure::new(Status::Refused, alarm.misbehaviour.class(), alarm.to_string())
                    .expected(alarm.misbehaviour.expected())
                    .found(alarm.misbehaviour.found())
                    .hint(
                        "the log is read no further and the state was not changed: keep it and what is \
                         printed above, and ask who runs the log; nothing it logs can be relied on",
                    )
            }
        }
    }
}

fn alarm_json(alarm: &Alarm) -> serde_json::Value {
    serde_json::json!({
        "event": "alarm",
        "log": alarm.log,
        "class": alarm.misbehaviour.class(),
        "message": chain(alarm),
        "expected": alarm.misbehaviour.expected(),
        "found": alarm.misbehaviour.found(),
        "evidence": alarm.evidence,
    })
}

/// Runs the user's command. What comes from a log reaches it as data only, never as part of the command.
fn run(command: &str, event: &str) -> io::Result<()> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env("SEALOG_EVENT", event)
        .stdin(Stdio::piped())
        // Standard output is for events.
        .stdout(Stdio::from(io::stderr()))
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(event.as_bytes()).and_then(|()| stdin.write_all(b"\n")) {
            // It need not read.
            Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => return Err(cause),
            _ => {}
        }
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_units() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for text in ["", "5", "s", "-5s", "5h", "5 s", "99999999999999999999s", "999999999999999999m"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_command_gets_the_event_twice_and_its_failure_counts() {
        let event = r#"{"event":"certificate","identity":"$(exit 9)"}"#;
        assert!(run(r#"read -r line; test "$line" = "$SEALOG_EVENT""#, event).is_ok());
        assert!(run("true", event).is_ok());
        assert!(run("exit 7", event).is_err());
        assert!(run("/no/such/command", event).is_err());
    }
}
