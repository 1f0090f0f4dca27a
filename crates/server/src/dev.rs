//! `sealogd dev`: every service on this machine, configured at the first start and the same ever after.
//!
//! The directory holds an ordinary configuration (`sealog.toml`) with keys in plain, an identity provider
//! that believes anyone, and ports chosen once: URLs are in certificates and trust files, so they never
//! change.

use crate::{
    clock::Clock,
    config::{Config, Listen},
    files,
    listen::Bound,
    run::Sockets,
    setup,
};
use anyhow::Context as _;
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// The configuration's name in the directory.
const CONFIG: &str = "sealog.toml";
/// Services in the order of their ports from `--base-port` on.
const SERVICES: [&str; 5] = ["oidc", "ca", "rekor", "ctlog", "tsa"];
/// Path of the GitHub-shaped issuer under the provider's URL.
const CI_ISSUER: &str = "/ci";

/// What `dev` says at every start, before anything else.
pub const WARNING: &str = "\
warning: this is a development instance
  its identity provider believes anyone: whoever reaches it can sign in under any name
  its private keys lie in plain on the disk
hint: use `sealogd init` and `sealogd run` with a configuration of your own for anything that others trust";

/// Makes the directory where there is none, and says what to run.
///
/// # Errors
/// When the directory is something else, other ports were chosen before, or nothing can be made.
pub fn prepare(dir: &Path, base_port: u16, clock: Clock) -> anyhow::Result<(Config, Sockets)> {
    let path = config_path(dir);
    let mut sockets = Sockets::new();
    if !path.exists() {
        refuse_foreign(dir)?;
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        for (offset, name) in (0..).zip(SERVICES) {
            // Bound now and kept, so that nobody else takes a port between choosing and serving.
            sockets.insert(name, Bound::bind(Listen::Localhost(port(base_port, offset)?))?);
        }
        let text = configuration(&sockets)?;
        files::write_new(&path, text.as_bytes(), files::MODE_PUBLIC)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    let config = Config::load(&path)?;
    if base_port != 0 {
        refuse_other_ports(&config, base_port, &path)?;
    }
    setup::init(&config, clock)?;
    Ok((config, sockets))
}

/// Where a dev directory's configuration lies.
#[must_use]
pub fn config_path(dir: &Path) -> PathBuf {
    dir.join(CONFIG)
}

fn port(base: u16, offset: u16) -> anyhow::Result<u16> {
    match base {
        0 => Ok(0),
        _ => base.checked_add(offset).context("the services need five ports from --base-port on"),
    }
}

/// An existing directory with other things in it was not meant.
fn refuse_foreign(dir: &Path) -> anyhow::Result<()> {
    let Ok(mut entries) = fs::read_dir(dir) else { return Ok(()) };
    match entries.next() {
        None => Ok(()),
        Some(_) => anyhow::bail!(
            "{} is neither empty nor a directory of `sealogd dev` (it has no {CONFIG})",
            dir.display()
        ),
    }
}

fn refuse_other_ports(config: &Config, base_port: u16, path: &Path) -> anyhow::Result<()> {
    for (offset, name) in (0..).zip(SERVICES) {
        let wanted = port(base_port, offset)?;
        let found = config.listens().find(|(n, _)| *n == name).map(|(_, listen)| listen.port());
        if found.is_some_and(|found| found != wanted) {
            anyhow::bail!(
                "{} has {name} on port {}, not {wanted}: URLs never change, so leave --base-port out",
                path.display(),
                found.unwrap_or_default()
            );
        }
    }
    Ok(())
}

fn configuration(sockets: &Sockets) -> anyhow::Result<String> {
    let port = |name| sockets.get(name).map(Bound::port).context("a service without a port");
    let oidc = format!("http://localhost:{}", port("oidc")?);
    let mut text = String::from(
        "# Written by `sealogd dev`. Ports and URLs are in certificates and trust files: do not change them.\n\n\
         data_dir = \"data\"\n\
         keys_dir = \"keys\"\n\
         client_dir = \"client\"\n\
         plain_keys = true\n\
         organization = \"sealog dev\"\n",
    );
    for name in SERVICES {
        let port = port(name)?;
        write!(text, "\n[{name}]\nlisten = \"localhost:{port}\"\nurl = \"http://localhost:{port}\"\n")?;
        if name == "ca" {
            write!(
                text,
                "\n[[ca.issuers]]\nissuer = \"{oidc}\"\ntype = \"email\"\n\
                 \n[[ca.issuers]]\nissuer = \"{oidc}{CI_ISSUER}\"\ntype = \"ci-provider\"\npreset = \"github-actions\"\n"
            )?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_directory_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letter.txt"), "dear").unwrap();
        let error = prepare(dir.path(), 0, Clock::system()).unwrap_err();
        assert!(error.to_string().contains("neither empty nor"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
