//! Who signs: a token that was given, what the machine vouches for, or a person who signs in.
//!
//! The way is said in one line before it is taken. A build system that is recognised is never passed over for a person:
//! what was to be signed by a release job must not end up in somebody's name.

use crate::{
    args::IdentityArgs,
    artifact,
    failure::{Failure, Status},
    output,
    sign::of_http,
};
use sealog_client::{
    clock,
    http::Client,
    oidc::{
        self, AUDIENCE, Ambient, AmbientError, DeviceCode, IdentityToken, Notice, OidcError, Provider,
        SignIn, Surroundings,
    },
    trust::Services,
};
use sealog_verify::verdict::shown;
use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _},
    path::Path,
};

/// Longer tokens are not read.
const MAX_TOKEN_BYTES: u64 = 64 << 10;
/// A token with less time left may run out while files are signed.
const SHORT_SECONDS: i64 = 45;
/// Nor longer codes.
const MAX_CODE_BYTES: u64 = 8 << 10;

/// The token named on the command line, if one is.
pub(crate) fn given(args: &IdentityArgs) -> Result<Option<IdentityToken>, Failure> {
    args.identity_token.as_deref().map(given_token).transpose()
}

/// The token to sign with. One that is about to expire is said to be: it may not last for all files.
pub(crate) async fn token(
    given: Option<IdentityToken>,
    client: &Client,
    services: &Services,
    args: &IdentityArgs,
    files: usize,
) -> Result<IdentityToken, Failure> {
    let token = chosen(given, client, services, args, files).await?;
    let left = token.claims().expires_at.saturating_sub(clock::unix_seconds());
    if (1..SHORT_SECONDS).contains(&left) {
        output::talk(&format!(
            "note: the identity token expires in {left} s; what is not signed by then needs a new one"
        ));
    }
    Ok(token)
}

async fn chosen(
    given: Option<IdentityToken>,
    client: &Client,
    services: &Services,
    args: &IdentityArgs,
    files: usize,
) -> Result<IdentityToken, Failure> {
    if let Some(token) = given {
        announce(Some(token.claims().shown_identity()), files);
        return Ok(token);
    }
    let here = Surroundings::of_this_process();
    // Whoever says how to sign in, or where, is a person.
    let where_to = args.issuer_url.is_some() || args.connector_id.is_some();
    let person = args.no_ambient || args.device || args.paste || where_to;
    match Ambient::detect(&here).filter(|_| !person) {
        Some(system) => {
            output::talk(&format!("identity: {system} (--no-ambient to sign in as a person)"));
            let token = system.token(&here, client, AUDIENCE).await.map_err(|error| ambient(&error))?;
            announce(Some(token.claims().shown_identity()), files);
            Ok(token)
        }
        None => sign_in(client, services, args, files).await,
    }
}

/// The token on the command line, in a file, or on standard input.
fn given_token(option: &str) -> Result<IdentityToken, Failure> {
    let text = match option.strip_prefix('@') {
        Some(file) => {
            let bytes =
                artifact::read_bounded(Path::new(file), usize::try_from(MAX_TOKEN_BYTES).unwrap_or(0))?;
            String::from_utf8(bytes)
                .map_err(|_| Failure::usage(format!("`{file}` holds no identity token")))?
        }
        None if option == "-" => {
            let mut text = String::new();
            std::io::stdin().take(MAX_TOKEN_BYTES).read_to_string(&mut text).map_err(|cause| {
                Failure::unable("input", format!("no token could be read from standard input: {cause}"))
            })?;
            text
        }
        None => option.to_owned(),
    };
    IdentityToken::parse(&text).map_err(|error| {
        Failure::of(Status::Usage, "token", &error)
            .hint("give the token itself, @FILE with the token in it, or - for standard input")
    })
}

async fn sign_in(
    client: &Client,
    services: &Services,
    args: &IdentityArgs,
    files: usize,
) -> Result<IdentityToken, Failure> {
    let issuer = args.issuer_url.as_deref().unwrap_or(&services.oidc);
    announce(None, files);
    let provider = Provider::discover(client, issuer).await.map_err(|error| signing_in(&error))?;
    let way = Way::of(args, &provider, |name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let connector_id = args.connector_id.clone();
    let how = SignIn { open_browser: way == Way::Browser, connector_id, ..SignIn::default() };
    let token = match way {
        Way::Browser | Way::Address => oidc::sign_in(client, &provider, &how, tell).await,
        Way::Device => oidc::sign_in_on_device(client, &provider, &how, tell_device).await,
        Way::Paste => oidc::sign_in_by_paste(client, &provider, &how, ask_for_code).await,
    };
    let token = token.map_err(|error| signing_in(&error))?;
    output::talk(&format!("signed in as {}", shown(token.claims().shown_identity())));
    Ok(token)
}

fn tell(notice: Notice<'_>) {
    output::talk(&match notice {
        Notice::BrowserOpened(url) => {
            format!("sign in with the browser that opened; if none did, open\n  {url}")
        }
        Notice::OpenThis(url) => format!("to sign in, open in a browser on this machine\n  {url}"),
    });
}

fn tell_device(code: &DeviceCode) {
    output::talk(&format!(
        "to sign in, open on any device\n  {}\nand type the code\n  {}",
        shown(&code.page),
        shown(&code.user_code)
    ));
}

fn ask_for_code(url: &str) -> io::Result<String> {
    output::talk(&format!(
        "to sign in, open in any browser\n  {url}\nand type here the code that its page shows, then Enter:"
    ));
    let mut line = String::new();
    io::stdin().lock().take(MAX_CODE_BYTES).read_line(&mut line)?;
    match line.is_empty() {
        true => Err(io::ErrorKind::UnexpectedEof.into()),
        false => Ok(line),
    }
}

fn ambient(error: &AmbientError) -> Failure {
    let status = match error {
        AmbientError::Http { .. } => Status::Unable,
        _ => Status::Refused,
    };
    let failure = match error {
        AmbientError::Http { source, .. } => of_http(source, Failure::of(status, "ambient-identity", error)),
        _ => Failure::of(status, "ambient-identity", error),
    };
    failure.hint(
        error.hint().unwrap_or("--no-ambient signs as a person, --identity-token with a token of your own"),
    )
}

/// Says, once and before it is so, what becomes public. Only to people: logs of build machines do not care.
fn announce(identity: Option<&str>, files: usize) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let who = identity.map_or_else(
        || "the name you sign in with (usually your email address)".to_owned(),
        |identity| format!("the name `{}`", shown(identity)),
    );
    let what = if files == 1 { "the file's digest" } else { "each file's digest" };
    output::talk(&format!("note: signing puts {who} and {what} into a public log, for ever"));
}

fn signing_in(error: &OidcError) -> Failure {
    match error {
        OidcError::Http(http) => of_http(http, Failure::of(Status::Unable, "sign-in", error)),
        OidcError::Refused(_) | OidcError::Token(_) | OidcError::NotOurs(_) | OidcError::NoToken => {
            Failure::of(Status::Refused, "sign-in", error)
        }
        OidcError::NobodyCame(_) => {
            Failure::of(Status::Unable, "sign-in", error).hint("--identity-token signs without a browser")
        }
        _ => Failure::of(Status::Unable, "sign-in", error),
    }
}

/// How a person signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A browser is started here.
    Browser,
    /// The address is told, for a browser on this machine.
    Address,
    /// A code is typed into a page on another device.
    Device,
    /// A code is carried from a page elsewhere to this keyboard.
    Paste,
}

impl Way {
    /// What was asked for, else what works from here: a browser where there is a screen to show it on, else another device.
    fn of(args: &IdentityArgs, provider: &Provider, variable: impl Fn(&str) -> bool) -> Self {
        let remote = ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"].into_iter().any(&variable);
        let has_screen = !cfg!(all(unix, not(target_os = "macos")))
            || ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"].into_iter().any(&variable);
        // Somebody who names a browser wants it, wherever they sit.
        let here = (has_screen && !remote) || variable("BROWSER");
        match (args.device, args.paste, args.no_browser) {
            (true, ..) => Self::Device,
            (_, true, _) => Self::Paste,
            (.., true) => Self::Address,
            _ if here => Self::Browser,
            _ if provider.device_endpoint.is_some() => Self::Device,
            _ => Self::Address,
        }
    }
}
