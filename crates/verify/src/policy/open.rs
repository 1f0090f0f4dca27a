//! Whether a pattern names somebody, and whom.
//!
//! A pattern cannot be asked how much it takes, so it is the other way round: on every way through it
//! ([`Shape`](super::shape::Shape)) there must be something written out that names somebody. That is the host of
//! a URI, and where anybody can be the first steps of its path these steps, each with its `/`; the domain of a
//! mail address, and where anybody can have a mailbox the whole address; or the whole text. And what is so named
//! is asked for when names are compared, beside the pattern: `https://.*\.example\.org/.*` takes nothing whose
//! host is another, though such a text can be had elsewhere (`https://github.com/x/…@refs/heads/a.example.org/b`).
//!
//! Must always hold: a pattern that is not open takes nobody but those it names, even if the pattern was
//! misread here. What is misread can only be refused.

use super::{Match, shape::ANY};
use alloc::string::String;
use sealog_pki::fulcio_extensions::{FulcioExtension, TOKEN_SUBJECT};

/// Hosts where anybody can be the first steps of a path, and how many steps it takes to name somebody there. What
/// is below such a host counts as it does.
const OPEN_HOSTS: [(&str, usize); 25] = [
    ("github.com", 1),
    ("gitlab.com", 1),
    ("bitbucket.org", 1),
    // `/2.0/workspaces/OWNER/`
    ("api.bitbucket.org", 3),
    ("codeberg.org", 1),
    ("gitea.com", 1),
    ("sr.ht", 1),
    ("buildkite.com", 1),
    ("dev.azure.com", 1),
    // `/api/v2/projects/ID/`, and `/org/ID`
    ("circleci.com", 4),
    ("oidc.circleci.com", 2),
    // `/ACCOUNT/`, and `/build/ID` and `/api/pipelines/ID`
    ("codefresh.io", 1),
    ("buddy.works", 1),
    ("enforce.dev", 1),
    ("fly.io", 1),
    ("vercel.com", 1),
    ("pulumi.com", 1),
    ("token.actions.githubusercontent.com", 1),
    ("raw.githubusercontent.com", 1),
    ("login.microsoftonline.com", 1),
    ("sts.windows.net", 1),
    // `/v1/projects/OWNER/`
    ("container.googleapis.com", 3),
    ("storage.googleapis.com", 1),
    // `/id/ID`
    ("amazonaws.com", 2),
    ("blob.core.windows.net", 1),
];
/// First steps at such hosts that are nobody.
const NOBODY: [(&str, &str); 2] = [("codefresh.io", "build"), ("codefresh.io", "api")];

/// Domains where anybody can have a mailbox.
const OPEN_DOMAINS: [&str; 45] = [
    "gmail.com",
    "googlemail.com",
    "outlook.com",
    "hotmail.com",
    "live.com",
    "msn.com",
    "yahoo.com",
    "ymail.com",
    "aol.com",
    "icloud.com",
    "me.com",
    "mac.com",
    "proton.me",
    "protonmail.com",
    "pm.me",
    "fastmail.com",
    "zoho.com",
    "mail.com",
    "gmx.com",
    "gmx.net",
    "gmx.de",
    "web.de",
    "t-online.de",
    "posteo.de",
    "mailbox.org",
    "riseup.net",
    "tuta.com",
    "tutanota.com",
    "hey.com",
    "duck.com",
    "mail.ru",
    "yandex.ru",
    "yandex.com",
    "qq.com",
    "163.com",
    "126.com",
    "naver.com",
    "free.fr",
    "orange.fr",
    "libero.it",
    "users.noreply.github.com",
    "users.noreply.gitlab.com",
    "developer.gserviceaccount.com",
    "cloudbuild.gserviceaccount.com",
    "appspot.gserviceaccount.com",
];

/// Domains of two labels and more below which anybody can have a name.
const OPEN_SUFFIXES: [&str; 36] = [
    "amazonaws.com",
    "cloudfront.net",
    "elasticbeanstalk.com",
    "googleapis.com",
    "googleusercontent.com",
    "gserviceaccount.com",
    "iam.gserviceaccount.com",
    "appspot.com",
    "run.app",
    "web.app",
    "firebaseapp.com",
    "blogspot.com",
    "azurewebsites.net",
    "windows.net",
    "core.windows.net",
    "blob.core.windows.net",
    "onmicrosoft.com",
    "b2clogin.com",
    "github.io",
    "gitlab.io",
    "codeberg.page",
    "pages.dev",
    "workers.dev",
    "cloudflareaccess.com",
    "vercel.app",
    "netlify.app",
    "herokuapp.com",
    "onrender.com",
    "fly.dev",
    "ngrok.io",
    "ngrok.app",
    "ngrok-free.app",
    "okta.com",
    "auth0.com",
    "onelogin.com",
    "readthedocs.io",
];
/// Labels under which countries have names registered, `example.co.uk`.
const SECOND_LABELS: [&str; 12] =
    ["co", "com", "org", "net", "ac", "gov", "edu", "or", "ne", "go", "gob", "gouv"];

/// How build systems begin a token's subject, and what ends the name that comes then.
const SUBJECTS: [(&str, char); 5] = [
    ("repo:", '/'),
    ("project_path:", '/'),
    ("organization:", ':'),
    ("org/", '/'),
    ("system:serviceaccount:", ':'),
];

/// Extensions that say whose something is: the repository, its owner, the build's definition, one run, the token's
/// subject. The others say how it was made (trigger, runner, ref), as anybody can make theirs, or which commit,
/// which every fork has.
const SAYS_WHOSE: [u8; 9] = [5, 9, 12, 15, 16, 17, 18, 21, TOKEN_SUBJECT];
/// Of these, the one that is `owner/repository`.
const REPOSITORY: u8 = 5;
/// Of these, those that are numbers.
const IDENTIFIERS: [u8; 2] = [15, 17];

/// What a text is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// The name in a certificate.
    Identity,
    /// Who vouches for it.
    Provider,
    /// An extension, by its number.
    Extension(u8),
}

/// Whether not everybody can have a certificate with this extension.
pub(super) fn says_whose(extension: &FulcioExtension, value: &Match) -> bool {
    let is_empty = matches!(value, Match::Exact(text) if text.is_empty());
    SAYS_WHOSE.contains(&extension.number)
        && !is_empty
        && value.nobody(Place::Extension(extension.number)).is_none()
}

/// Whether an extension's value is taken.
pub(super) fn takes(extension: &FulcioExtension, wanted: &Match, value: &str) -> bool {
    match SAYS_WHOSE.contains(&extension.number) {
        true => wanted.takes(Place::Extension(extension.number), value),
        false => wanted.matches(value),
    }
}

/// The first of these texts that names nobody in its place, as people read it.
pub(super) fn nobody(place: Place, texts: &[String]) -> Option<&str> {
    texts.iter().map(String::as_str).find(|text| Named::by(place, text).is_none())
}

/// Whether a text is of somebody whom one of these names, or one of these names nobody.
pub(super) fn may_be(place: Place, texts: &[String], text: &str) -> bool {
    let mut is_theirs = false;
    for named in texts {
        match Named::by(place, named) {
            Some(named) => is_theirs = is_theirs || named.holds(text),
            None => return true,
        }
    }
    is_theirs
}

/// Who is named.
#[derive(Debug)]
enum Named<'t> {
    /// Whose name is this text.
    Text(&'t str),
    /// Who has this host, and there what the path begins with (or is, where no `/` ends it).
    Uri { host: Host<'t>, path: &'t str },
    /// Who has a mailbox at this domain, or a user name (`!`).
    Mailbox { mark: char, domain: Host<'t> },
    /// Whose name begins so.
    Begins(&'t str),
}

impl<'t> Named<'t> {
    /// Who is named by a text in which [`ANY`] may stand.
    fn by(place: Place, text: &'t str) -> Option<Self> {
        let named = match place {
            Place::Identity => Self::uri(text).or_else(|| Self::mailbox(text)),
            Place::Extension(REPOSITORY) => Self::steps(text),
            Place::Extension(TOKEN_SUBJECT) => {
                Self::subject(text).or_else(|| Self::uri(text)).or_else(|| Self::mailbox(text))
            }
            Place::Extension(number) if IDENTIFIERS.contains(&number) => None,
            Place::Provider | Place::Extension(_) => Self::uri(text),
        };
        named.or_else(|| (!text.contains(ANY)).then_some(Self::Text(text)))
    }

    fn uri(text: &'t str) -> Option<Self> {
        let (authority, path) = authority(text)?;
        let host = Host::of(authority)?;
        match host.steps() {
            0 => Some(Self::Uri { host, path: "" }),
            steps => host.owner(path, steps).map(|path| Self::Uri { host, path }),
        }
    }

    fn mailbox(text: &'t str) -> Option<Self> {
        if text.contains("://") {
            return None;
        }
        let (_, mark, domain) = at_mark(text)?;
        let domain = Host::of(domain).filter(|domain| !domain.is_open_for_mail())?;
        Some(Self::Mailbox { mark, domain })
    }

    /// `owner/repository`.
    fn steps(text: &'t str) -> Option<Self> {
        let (owner, _) = text.split_once('/').filter(|(owner, _)| is_written(owner))?;
        text.get(..=owner.len()).map(Self::Begins)
    }

    fn subject(text: &'t str) -> Option<Self> {
        let (begin, end) = SUBJECTS.into_iter().find(|(begin, _)| text.starts_with(begin))?;
        let (owner, _) = text.strip_prefix(begin)?.split_once(end).filter(|(owner, _)| is_written(owner))?;
        text.get(..=begin.len().saturating_add(owner.len())).map(Self::Begins)
    }

    /// Whether a name, which is what it is and no pattern, is theirs.
    fn holds(&self, name: &str) -> bool {
        match self {
            Self::Text(text) => text.eq_ignore_ascii_case(name),
            Self::Uri { host, path } => authority(name).is_some_and(|(authority, found)| {
                let is_there = match path.is_empty() || path.ends_with('/') {
                    true => begins(found, path),
                    false => path.eq_ignore_ascii_case(found),
                };
                is_there && host.holds(authority)
            }),
            // A branch can be called `x@example.org`; a mailbox cannot be called what builds are.
            Self::Mailbox { mark, domain } => {
                !name.contains(['/', ':'])
                    && at_mark(name).is_some_and(|(local, found, at)| {
                        !local.is_empty() && found == *mark && domain.holds(at)
                    })
            }
            Self::Begins(text) => begins(name, text) && !name.contains("://"),
        }
    }
}

/// Whether there is something, and nothing in it is left open.
fn is_written(step: &str) -> bool {
    !step.is_empty() && !matches!(step, "." | "..") && !step.contains([ANY, '@', '?', '#'])
}

/// Capitals make no difference in whatever is compared here.
fn begins(name: &str, text: &str) -> bool {
    name.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text))
}

/// Host and path of a URI.
fn authority(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | ANY);
    if scheme.is_empty() || !scheme.chars().all(is_scheme) {
        return None;
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
    let is_port = |port: &str| port.chars().all(|c| c.is_ascii_digit() || c == ANY);
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => host,
        _ => authority,
    };
    Some((host, path))
}

/// Before and after the last `@` or `!`.
fn at_mark(text: &str) -> Option<(&str, char, &str)> {
    let (at, mark) = text.char_indices().rfind(|(_, c)| matches!(c, '@' | '!'))?;
    let (local, rest) = text.split_at(at);
    Some((local, mark, rest.strip_prefix(mark)?))
}

/// A host or domain that is written out, or all below one.
#[derive(Clone, Copy, Debug)]
struct Host<'t> {
    name: &'t str,
    below: bool,
}

impl<'t> Host<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let is_of_host = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ANY);
        if text.is_empty() || !text.chars().all(is_of_host) {
            return None;
        }
        let Some((_, after)) = text.rsplit_once(ANY) else { return Some(Self { name: text, below: false }) };
        // `*.example.org`, or `build*.ci.example.org`, but nothing of `*example.org` except `org`.
        let (_, name) = after.split_once('.')?;
        let below = Self { name, below: true };
        (!below.is_open_below()).then_some(below)
    }

    fn holds(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_of_host = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !host.chars().all(is_of_host) {
            return false;
        }
        match self.below {
            true => is_below(host, self.name),
            false => self.name.eq_ignore_ascii_case(host),
        }
    }

    /// Whether this and that name have a host in common.
    fn meets(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
            || is_below(self.name, name)
            || self.below && is_below(name, self.name)
    }

    /// How many steps of a path it takes to name somebody.
    fn steps(&self) -> usize {
        let open = OPEN_HOSTS.iter().filter(|(name, _)| self.meets(name));
        match self.below {
            true => open.map(|(_, steps)| *steps).max(),
            // The nearest.
            false => open.max_by_key(|(name, _)| name.len()).map(|(_, steps)| *steps),
        }
        .unwrap_or(0)
    }

    /// The beginning of a path that names somebody by so many steps; all of it, when there is no more.
    fn owner(&self, path: &'t str, steps: usize) -> Option<&'t str> {
        let mut rest = path;
        for at in 0..steps {
            rest = rest.strip_prefix('/')?;
            let end = rest.find('/').unwrap_or(rest.len());
            let (step, after) = rest.split_at(end);
            let is_nobody = |(host, word): &(&str, &str)| self.meets(host) && word.eq_ignore_ascii_case(step);
            if !is_written(step) || at == 0 && NOBODY.iter().any(is_nobody) {
                return None;
            }
            rest = after;
        }
        let owner = path.len().checked_sub(rest.len())?;
        path.get(..owner.saturating_add(usize::from(!rest.is_empty())))
    }

    fn is_open_for_mail(&self) -> bool {
        OPEN_DOMAINS.iter().any(|open| match self.below {
            true => self.meets(open),
            false => self.name.eq_ignore_ascii_case(open),
        })
    }

    /// Whether anybody can have a name below it.
    fn is_open_below(&self) -> bool {
        let mut labels = self.name.rsplit('.');
        let (Some(top), Some(second)) = (labels.next(), labels.next()) else { return true };
        let has_third = labels.next().is_some();
        let is_country =
            top.len() == 2 && SECOND_LABELS.iter().any(|known| known.eq_ignore_ascii_case(second));
        let is_number = top.chars().all(|c| c.is_ascii_digit());
        self.name.split('.').any(str::is_empty)
            || is_number
            || is_country && !has_third
            || OPEN_SUFFIXES.iter().any(|open| self.name.eq_ignore_ascii_case(open))
    }
}

fn is_below(host: &str, name: &str) -> bool {
    let start = host.len().checked_sub(name.len());
    let Some((above, end)) = start.and_then(|start| host.split_at_checked(start)) else { return false };
    end.eq_ignore_ascii_case(name) && above.len() > 1 && above.ends_with('.')
}

#[cfg(test)]
mod tests;
