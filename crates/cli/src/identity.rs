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
        Question, SignIn, SpiffeError, Surroundings,
    },
    sign::SigningKey,
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

/// Who signs, and how they say so: as often as a certificate needs a token.
pub(crate) struct Signatory<'a> {
    source: Source,
    client: &'a Client,
    services: &'a Services,
    args: &'a IdentityArgs,
    files: usize,
}

enum Source {
    Given(IdentityToken),
    Ambient(Ambient, Surroundings),
    Person,
}

impl<'a> Signatory<'a> {
    /// Decides whose name it will be; asks nobody.
    pub(crate) fn find(
        given: Option<IdentityToken>,
        client: &'a Client,
        services: &'a Services,
        args: &'a IdentityArgs,
        files: usize,
    ) -> Self {
        let here = Surroundings::of_this_process();
        // Whoever says how to sign in, or where, is a person.
        let at = args.issuer_url.is_some() || args.connector_id.is_some() || args.client_id.is_some();
        let person = args.no_ambient || args.device || args.paste || args.email.is_some() || at;
        let source = match (given, Ambient::detect(&here).filter(|_| !person)) {
            (Some(token), _) => Source::Given(token),
            (None, Some(system)) => Source::Ambient(system, here),
            (None, None) => Source::Person,
        };
        Self { source, client, services, args, files }
    }

    /// A token to have this key certified with. One that is about to expire is said to be: it may not last for all files.
    pub(crate) async fn token(&self, key: &SigningKey) -> Result<IdentityToken, Failure> {
        let audience = self.args.audience.as_deref().or(self.args.client_id.as_deref()).unwrap_or(AUDIENCE);
        let token = match &self.source {
            Source::Given(token) => {
                output::talk("identity: the token that was given");
                token.clone()
            }
            Source::Ambient(system, here) => {
                output::talk(&format!("identity: {system} (--no-ambient to sign in as a person)"));
                system.token(here, self.client, audience).await.map_err(|error| ambient(&error))?
            }
            Source::Person => return self.sign_in(key, audience).await,
        };
        announce(Some(token.claims().shown_identity()), self.files);
        let left = token.claims().expires_at.saturating_sub(clock::unix_seconds());
        if (1..SHORT_SECONDS).contains(&left) {
            output::talk(&format!(
                "note: the identity token expires in {left} s; what is not signed by then needs a new one"
            ));
        }
        Ok(token.made_for(audience))
    }

    async fn sign_in(&self, key: &SigningKey, audience: &str) -> Result<IdentityToken, Failure> {
        let args = self.args;
        let issuer = args.issuer_url.as_deref().or(self.services.oidc.as_deref()).ok_or_else(|| {
            Failure::new(
                Status::Usage,
                "sign-in",
                "the signing config names no OpenID provider where people sign in",
            )
            .hint("--issuer-url names one; a build system is asked without, and --identity-token needs none")
        })?;
        announce(args.email.as_deref(), self.files);
        let provider = Provider::discover(self.client, issuer).await.map_err(|error| signing_in(&error))?;
        let way =
            Way::of(args, &provider, |name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        output::talk(&format!("identity: {}, at {}", way.described(), shown(&provider.issuer)));
        let how = SignIn {
            client_id: args.client_id.clone().unwrap_or_else(|| SignIn::default().client_id),
            audience: audience.to_owned(),
            open_browser: way == Way::Browser,
            connector_id: args.connector_id.clone(),
            key_thumbprint: key.thumbprint(),
            ..SignIn::default()
        };
        let token = match way {
            Way::Browser | Way::Address => oidc::sign_in(self.client, &provider, &how, tell).await,
            Way::Device => oidc::sign_in_on_device(self.client, &provider, &how, tell_device).await,
            Way::Paste => oidc::sign_in_by_paste(self.client, &provider, &how, ask_for_code).await,
            Way::Mail(address) => {
                let ask = ask_for_mailed_code(address);
                oidc::sign_in_by_mail(self.client, &provider, &how, address, ask).await
            }
        };
        let token = token.map_err(|error| signing_in(&error))?;
        output::talk(&format!("signed in as {}", shown(token.claims().shown_identity())));
        Ok(token)
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

fn tell(notice: Notice<'_>) {
    output::talk(&match notice {
        Notice::Opening(url) => {
            format!("to sign in, use the browser that opens; if none does, open on this machine\n  {url}")
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
    typed_line()
}

fn ask_for_mailed_code(address: &str) -> impl Fn(Question) -> io::Result<String> + Clone + Send + 'static {
    let address = shown(address).to_string();
    move |question| {
        output::talk(&match question {
            Question::Code => format!(
                "a code is on its way to {address}; who types it agrees that this address goes into a public log, for ever\n\
                 type it here, then Enter:"
            ),
            Question::Again(why) => format!("{why}; type it again, then Enter:"),
        });
        typed_line()
    }
}

fn typed_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().take(MAX_CODE_BYTES).read_line(&mut line)?;
    match line.is_empty() {
        true => Err(io::ErrorKind::UnexpectedEof.into()),
        false => Ok(line),
    }
}

fn ambient(error: &AmbientError) -> Failure {
    let status = match error {
        AmbientError::Http { .. }
        | AmbientError::Spiffe(
            SpiffeError::Unreachable { .. } | SpiffeError::Broken(_) | SpiffeError::TimedOut,
        ) => Status::Unable,
        AmbientError::Spiffe(SpiffeError::Address(_)) | AmbientError::Url { .. } => Status::Usage,
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
        OidcError::NoMail(_) => {
            Failure::of(Status::Usage, "sign-in", error).hint("--device signs in on a page of the provider")
        }
        OidcError::NobodyCame(_) => {
            Failure::of(Status::Unable, "sign-in", error).hint("--identity-token signs without a browser")
        }
        _ => Failure::of(Status::Unable, "sign-in", error),
    }
}

/// How a person signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way<'a> {
    /// A browser is started here.
    Browser,
    /// The address is told, for a browser on this machine.
    Address,
    /// A code is typed into a page on another device.
    Device,
    /// A code is carried from a page elsewhere to this keyboard.
    Paste,
    /// A code is carried from the mailbox of this address.
    Mail(&'a str),
}

impl<'a> Way<'a> {
    /// In the line that says it.
    fn described(self) -> String {
        match self {
            Self::Browser => {
                "a person, with a browser (others: --no-browser, --device, --paste, --email)".to_owned()
            }
            Self::Address => "a person, with a browser on this machine".to_owned(),
            Self::Device => "a person, on another device (others: --no-browser, --paste, --email)".to_owned(),
            Self::Paste => "a person, with a code from a browser elsewhere".to_owned(),
            Self::Mail(address) => format!("{}, with a code from the mailbox", shown(address)),
        }
    }

    /// What was asked for, else what works from here: a browser where there is a screen to show it on, else another device.
    fn of(args: &'a IdentityArgs, provider: &Provider, variable: impl Fn(&str) -> bool) -> Self {
        let remote = ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"].into_iter().any(&variable);
        let has_screen = !cfg!(all(unix, not(target_os = "macos")))
            || ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"].into_iter().any(&variable);
        // Somebody who names a browser wants it, wherever they sit.
        let here = (has_screen && !remote) || variable("BROWSER");
        if let Some(address) = &args.email {
            return Self::Mail(address);
        }
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
