//! `sealogd authority`: a root that is never online, and the renewal of what stands below it.

use super::{
    Kind, SIGNING, TIMESTAMPING,
    offline::{self, Names, fingerprint},
    renewal,
};
use crate::{
    clock::Clock,
    config::Config,
    files,
    instance::{Instance, InstanceError},
    keys::{self, KeyStoreError, Protection},
    trust,
};
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use sealog_bundle::UnixTime;
use sealog_crypto::{PrivateKey, Zeroizing};
use sealog_pki::{Certificate, Csr};
use std::path::{Path, PathBuf};

/// A longer file is no key, request or chain.
pub(super) const MAX_FILE: u64 = 256 * 1024;
/// How long a root made here is valid, in days.
const ROOT_DAYS: u32 = 20 * 365;
/// And what it signs.
const BELOW_DAYS: u32 = 5 * 365;

/// What a command writes to stdout, and what it tells a person.
#[derive(Debug, Default)]
pub struct Done {
    /// Data, ready for a file.
    pub data: String,
    /// Lines for people.
    pub talk: Vec<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example, with 2 and 3 on a machine that is never online:\n\
1. sealogd authority request --config sealog.toml > ca.csr\n\
2. sealogd authority root --dir root --passphrase-file F --organization Example\n\
3. sealogd authority sign --root-key root/root.key --root-cert root/root.pem \\\n\
   --passphrase-file F --request ca.csr > chain.pem\n\
4. sealogd authority install --config sealog.toml --chain chain.pem")]
pub enum AuthorityCommand {
    /// Make the authority's next key and print a request (PKCS#10) for its certificate
    Request {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
        /// Which authority
        #[arg(long = "for", value_enum, default_value_t)]
        authority: Which,
    },
    /// Check a certificate chain and put it in place: at once where it is the first, later as a successor
    Install {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
        /// The chain in PEM: the working certificate first, the root last
        #[arg(long)]
        chain: PathBuf,
        /// A private key (PKCS#8 in PEM, not encrypted) that comes with it, where no request was made
        #[arg(long)]
        key: Option<PathBuf>,
        /// When it takes over: `now`, or a time such as 2027-01-31T12:00:00Z; in seven days unless said
        #[arg(long, value_parser = start)]
        starts: Option<Start>,
        /// Which authority
        #[arg(long = "for", value_enum, default_value_t)]
        authority: Which,
    },
    /// Make a root, on a machine that is never online
    Root {
        /// Where its key and certificate are put; made where there is none
        #[arg(long)]
        dir: PathBuf,
        /// How the key lies on disk
        #[command(flatten)]
        protection: Sealing,
        /// The organization in its name
        #[arg(long)]
        organization: String,
        /// Its common name
        #[arg(long)]
        common_name: Option<String>,
        /// How many days it is valid
        #[arg(long, default_value_t = ROOT_DAYS, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
        /// Which authority it is for
        #[arg(long = "for", value_enum, default_value_t)]
        authority: Which,
    },
    /// Sign a request with a root's key, on that machine, and print the chain
    Sign {
        /// The root's key, as `root` or `init` made it
        #[arg(long)]
        root_key: PathBuf,
        /// A PEM file with its certificate, and those above it if there are any
        #[arg(long)]
        root_cert: PathBuf,
        /// How the key lies on disk
        #[command(flatten)]
        protection: Sealing,
        /// The request
        #[arg(long)]
        request: PathBuf,
        /// The organization in the new certificate's name; the root's unless said
        #[arg(long, default_value = "")]
        organization: String,
        /// Its common name
        #[arg(long)]
        common_name: Option<String>,
        /// How many days it is valid
        #[arg(long, default_value_t = BELOW_DAYS, value_parser = clap::value_parser!(u32).range(2..=36_500))]
        days: u32,
        /// Which authority it is for
        #[arg(long = "for", value_enum, default_value_t)]
        authority: Which,
    },
}

/// Which authority is meant.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Which {
    /// Certificates for signers: `[ca]`
    #[default]
    Signing,
    /// Timestamps: `[tsa]`
    Timestamps,
}

impl Which {
    fn kind(self) -> &'static Kind {
        match self {
            Self::Signing => &SIGNING,
            Self::Timestamps => &TIMESTAMPING,
        }
    }
}

/// How the root's key lies on disk.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Sealing {
    /// A file (mode 0600) whose first line seals the key
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// Or a key in the clear: for tests
    #[arg(long)]
    plain_key: bool,
}

impl Sealing {
    fn protection(&self) -> anyhow::Result<Protection> {
        let Some(path) = &self.passphrase_file else { return Ok(Protection::Plain) };
        Ok(crate::config::passphrase(path)?)
    }
}

/// The service a command is about has no table.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has no [{0}] table")]
pub struct NotConfigured(&'static str);

/// When a chain takes over.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// When the command is given.
    Now,
    /// At this time.
    At(UnixTime),
}

fn start(text: &str) -> Result<Start, &'static str> {
    if text == "now" {
        return Ok(Start::Now);
    }
    UnixTime::parse_rfc3339(text)
        .map(Start::At)
        .ok_or("expected `now`, or a time such as 2027-01-31T12:00:00Z")
}

/// Does what was asked.
///
/// # Errors
/// As the commands' own modules say.
pub fn obey(command: &AuthorityCommand, clock: &Clock) -> anyhow::Result<Done> {
    match command {
        AuthorityCommand::Request { config, authority } => {
            let (_, instance) = open(config, authority.kind(), clock)?;
            let request = renewal::request(&instance, authority.kind())?;
            Ok(Done {
                data: request.pem,
                talk: vec![
                    format!("key {} is {}, {}", request.name, request.place, request.public_key.kind()),
                    format!("its fingerprint is {}", fingerprint(&request.public_key)),
                ],
            })
        }
        AuthorityCommand::Install { config, chain, key, starts, authority } => {
            let (config, instance) = open(config, authority.kind(), clock)?;
            let key = key.as_deref().map(private_key).transpose()?;
            let pem = text(chain)?;
            let starts = starts.map(|start| match start {
                Start::Now => UnixTime::from_seconds(clock.unix_seconds()),
                Start::At(time) => time,
            });
            let installed = renewal::install(&instance, authority.kind(), &pem, key.as_ref(), starts)?;
            Ok(Done { data: String::new(), talk: told(&config, &instance, &installed)? })
        }
        AuthorityCommand::Root { dir, protection, organization, common_name, days, authority } => {
            let kind = authority.kind();
            let common_name = common_name.as_deref().unwrap_or(kind.root_common_name);
            let names = Names { organization, common_name, days: *days };
            let root = offline::root(dir, protection.protection()?, kind, &names, clock.unix_seconds())?;
            Ok(Done { data: String::new(), talk: vec![described(&root)] })
        }
        AuthorityCommand::Sign {
            root_key,
            root_cert,
            protection,
            request,
            organization,
            common_name,
            days,
            authority,
        } => {
            let kind = authority.kind();
            let request =
                Csr::from_pem(&text(request)?).with_context(|| format!("reading {}", request.display()))?;
            let common_name = common_name.as_deref().unwrap_or(kind.common_name);
            let names = Names { organization, common_name, days: *days };
            let now = clock.unix_seconds();
            let chain =
                offline::sign(root_key, protection.protection()?, root_cert, &request, kind, &names, now)?;
            let mut talk: Vec<String> = chain.first().map(described).into_iter().collect();
            talk.push(format!(
                "compare this fingerprint with the one that `request` told: {}",
                fingerprint(request.public_key())
            ));
            Ok(Done { data: chain.iter().map(Certificate::to_pem).collect(), talk })
        }
    }
}

/// The instance, made where there is none yet: the authority comes before `init`.
fn open(path: &Path, kind: &Kind, clock: &Clock) -> anyhow::Result<(Config, Instance)> {
    let config = Config::load(path)?;
    let configured = match kind.service {
        "ca" => config.ca.is_some(),
        _ => config.tsa.is_some(),
    };
    if !configured {
        return Err(NotConfigured(kind.service).into());
    }
    let instance = match Instance::inspect(&config, clock.clone()) {
        Err(InstanceError::Missing(_)) => Instance::create(&config, clock.clone())?,
        found => found?,
    };
    Ok((config, instance))
}

fn told(config: &Config, instance: &Instance, installed: &renewal::Installed) -> anyhow::Result<Vec<String>> {
    let name = &installed.name;
    let Some(starts) = installed.starts else {
        return Ok(vec![format!("{name} is in place: `sealogd init` makes what else is missing")]);
    };
    // From now on, so that clients can know the new chain before it works.
    trust::write(config, instance, &config.client_dir()).context("writing the files for clients")?;
    Ok(vec![
        format!("{name} takes over at {starts}; a `sealogd run` that is at work needs no restart for it"),
        format!("clients need the trusted root in {} by then", config.client_dir().display()),
    ])
}

fn described(certificate: &Certificate) -> String {
    let (from, until) = certificate.validity();
    format!(
        "made \"{}\", valid from {} until {}",
        certificate.common_name().unwrap_or_default(),
        UnixTime::from_seconds(from),
        UnixTime::from_seconds(until)
    )
}

fn text(path: &Path) -> anyhow::Result<String> {
    let content =
        files::read_bounded(path, MAX_FILE).with_context(|| format!("reading {}", path.display()))?;
    String::from_utf8(content).with_context(|| format!("reading {}", path.display()))
}

fn private_key(path: &Path) -> Result<PrivateKey, KeyStoreError> {
    keys::refuse_exposed(path, files::MODE_SECRET)?;
    let content = files::read_bounded(path, MAX_FILE)
        .map(Zeroizing::new)
        .map_err(|source| KeyStoreError::Io { path: path.to_owned(), source })?;
    keys::read_plain(path, &content)
}
