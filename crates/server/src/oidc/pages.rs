//! The pages people see: who are you, the code from your mailbox, do you agree, a device's code, a code to carry, an apology.
//!
//! Plain HTML that works without JavaScript; the only other requests are for our own stylesheet and, where passkeys are
//! offered, for the script that they need. What a
//! person must know before they agree stands above the button: which program asks, and that their address
//! becomes public for ever. Everything shown is escaped by the template engine.

use super::{
    grants::{Asker, Person},
    passkey::Challenge,
    request::{AuthRequest, Redirect},
};
use maud::{DOCTYPE, Markup, html};

/// The stylesheet, served from [`STYLE_PATH`].
pub(super) const STYLE: &str = include_str!("style.css");
/// Where it is.
pub(super) const STYLE_PATH: &str = "/style.css";
/// The script of the pages that offer passkeys, and where it is.
pub(super) const SCRIPT: &str = include_str!("passkey.js");
pub(super) const SCRIPT_PATH: &str = "/passkey.js";
/// The name of the hidden field that repeats the cookie.
pub(super) const FORM_TOKEN: &str = "form_token";

/// The name of the hidden field that names what was begun.
pub(super) const SESSION: &str = "session";
/// What a button for a provider says before its name.
pub(super) const UPSTREAM: &str = "upstream-";

/// The ways to say who one is.
pub(super) struct Ways<'a> {
    /// Whoever says so is believed.
    pub(super) believes_anyone: bool,
    /// A code by mail.
    pub(super) mail: bool,
    /// A passkey in its place.
    pub(super) passkey: bool,
    /// Names and labels of providers.
    pub(super) upstreams: Vec<(&'a str, &'a str)>,
    /// The only domains of addresses; none for all.
    pub(super) domains: &'a [String],
}

/// What is wrong with what the person typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    Address,
    NameLetters,
    Domain(Vec<String>),
    UserCode,
    TooManyGuesses,
    /// A wrong code from a mailbox, and how many tries are left.
    Code(u32),
}

impl Complaint {
    fn text(&self) -> String {
        match self {
            Self::Address => "That is not an email address. It should look like name@example.com.".to_owned(),
            Self::NameLetters => {
                "Before the @ only plain letters, digits and signs can be used: certificates have no place for others."
                    .to_owned()
            }
            Self::Domain(domains) => {
                format!("Only addresses of these domains can sign here: {}.", domains.join(", "))
            }
            Self::UserCode => {
                "No program is waiting with that code. Check it, or start again on the other device: \
                 codes are good for ten minutes and for one answer."
                    .to_owned()
            }
            Self::TooManyGuesses => {
                "Too many wrong codes in the last minute. Wait a minute, then try again.".to_owned()
            }
            Self::Code(1) => "That is not the code. You have one more try.".to_owned(),
            Self::Code(left) => format!("That is not the code. You have {left} more tries."),
        }
    }

    const fn is_about_address(&self) -> bool {
        matches!(self, Self::Address | Self::NameLetters | Self::Domain(_))
    }
}

/// The words of a complaint, for a page of its own.
pub(super) fn complaint(complaint: &Complaint) -> String {
    complaint.text()
}

/// What somebody typed, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Typed {
    pub(super) address: String,
    pub(super) complaint: Option<Complaint>,
}

/// What came with a code from a mail, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub(super) struct TypedCode {
    pub(super) complaint: Option<Complaint>,
    /// Whether a passkey is to be made, and those made before forgotten.
    pub(super) passkey: bool,
    pub(super) forget: bool,
}

/// The sign-in page of a program on the same machine.
pub(super) fn sign_in(request: &AuthRequest, ways: &Ways<'_>, form_token: &str, typed: &Typed) -> Markup {
    let special = Head { script: ways.passkey, ..Head::default() };
    framed(
        "Sign in to sign",
        &special,
        html! {
            @if request.redirect == Redirect::OutOfBand {
                p {
                    "A program wants to sign something in your name, and you carry a code to it. "
                    strong { "Go on only if you started it yourself." }
                    " Whoever sent you this address, by mail, chat or telephone, and is given the code, would sign in your name."
                }
            } @else {
                p { "A program on this computer wants to sign something in your name." }
            }
            @if ways.believes_anyone { (believes_anyone()) }
            (public_for_ever())
            form method="post" action="/auth/answer" {
                @for (name, value) in request.params() {
                    input type="hidden" name=(name) value=(value);
                }
                (who_are_you(ways, form_token, typed))
            }
        },
    )
}

/// The page where a device's code is typed in.
pub(super) fn device(form_token: &str, user_code: &str, complaint: Option<&Complaint>) -> Markup {
    page(
        "Sign in for another device",
        html! {
            p { "A program on another device shows a code. Type it here to see which device asks, and to answer." }
            form method="post" action="/device" {
                input type="hidden" name=(FORM_TOKEN) value=(form_token);
                (complained(complaint))
                label for="user_code" { "Code on the other device" }
                input #user_code name="user_code" type="text" value=(user_code) required maxlength="20"
                    autocomplete="off" autocapitalize="characters" spellcheck="false"
                    aria-invalid=(complaint.is_some()) aria-describedby=[complaint.map(|_| "complaint")];
                div.buttons { button type="submit" { "Continue" } }
            }
        },
    )
}

/// Which device asks, and the answer to it.
pub(super) fn device_asks(
    asker: &Asker,
    at: &str,
    user_code: &str,
    ways: &Ways<'_>,
    form_token: &str,
    typed: &Typed,
) -> Markup {
    let (first, last) = user_code.split_at_checked(user_code.len() / 2).unwrap_or((user_code, ""));
    let special = Head { script: ways.passkey, ..Head::default() };
    framed(
        "Sign in for another device",
        &special,
        html! {
            p {
                "A program wants to sign something in your name. " strong { "Go on only if you started it yourself." }
                " Whoever sent you this code, by mail, chat or telephone, would sign in your name."
            }
            dl {
                dt { "Code it shows" } dd { code { (first) "-" (last) } }
                dt { "Network address it asked from" } dd { code { (asker.from) } }
                dt { "What it calls itself" } dd { (asker.program) }
                dt { "When it asked" } dd { (at) }
            }
            @if ways.believes_anyone { (believes_anyone()) }
            (public_for_ever())
            form method="post" action="/device" {
                input type="hidden" name="user_code" value=(user_code);
                (who_are_you(ways, form_token, typed))
            }
        },
    )
}

/// Where the code from the mailbox is typed.
pub(super) fn mail_code(
    address: &str,
    is_internationalized: bool,
    session: &str,
    form_token: &str,
    typed: &TypedCode,
    offers_passkey: bool,
) -> Markup {
    let complaint = typed.complaint.as_ref();
    let special = Head { script: offers_passkey, ..Head::default() };
    framed(
        "Look into your mailbox",
        &special,
        html! {
            p {
                "A mail with a code is on its way to " strong { (address) } ". It comes within a minute or so; look "
                "where unwanted mail goes, too. In an hour no more than ten are sent to an address, and three of them for one network."
            }
            @if is_internationalized {
                p.notice {
                    "The part after the @ is written in other letters, which may look like another's. This is how "
                    "everyone will see it, and how it is checked."
                }
            }
            p { "With the code you agree that this address goes into public logs, from which nothing can be removed." }
            form method="post" action="/mail" {
                input type="hidden" name=(FORM_TOKEN) value=(form_token);
                input type="hidden" name=(SESSION) value=(session);
                (complained(complaint))
                label for="code" { "Code from the mail" }
                input #code name="code" type="text" inputmode="numeric" required maxlength="20" autocomplete="one-time-code"
                    spellcheck="false" aria-invalid=(complaint.is_some())
                    aria-describedby=[complaint.map(|_| "complaint")];
                // Shown by the script alone: without it, nobody is asked twice.
                @if offers_passkey {
                    div data-passkey="offer" hidden {
                        label { input type="checkbox" name="passkey" value="offer" checked[typed.passkey]; " Make a passkey, for next time without a mail" }
                    }
                    label { input type="checkbox" name="forget" value="passkeys" checked[typed.forget]; " Forget the passkeys made for this address before" }
                }
                (buttons("allow", "Sign in and agree"))
            }
        },
    )
}

/// On the way to another provider's page.
pub(super) fn going_to(url: &str, host: &str) -> Markup {
    let refresh = format!("0; url={url}");
    framed(
        "One moment",
        &Head { refresh: Some(&refresh), ..Head::default() },
        html! { p { "You sign in at " a href=(url) { (host) } ", and come back here." } },
    )
}

/// Whether the device that proved an address makes a passkey for the next time.
pub(super) fn make_passkey(
    address: &str,
    days: u32,
    challenge: &Challenge,
    host: &str,
    form_token: &str,
    forgot: bool,
) -> Markup {
    scripted(
        "Next time without a mail?",
        html! {
            p { "You have proven that " strong { (address) } " is yours." }
            @if forgot {
                p { "The passkeys made for it before are forgotten." }
            }
            form method="post" action="/passkey/new" {
                input type="hidden" name=(FORM_TOKEN) value=(form_token);
                input type="hidden" name=(SESSION) value=(challenge.session);
                div data-passkey="make" data-challenge=(challenge.challenge) data-host=(host) data-person=(address) hidden {
                    p {
                        "For " (days) " days a passkey of this device can stand in for the mail: its screen lock, "
                        "fingerprint or security key. It is made for this page alone, and only its public half is sent here."
                    }
                    p.complaint role="alert" hidden { "The device made no passkey. You can go on without." }
                    div.buttons { button type="button" { "Make a passkey" } }
                }
                div.buttons { button.quiet type="submit" name="answer" value="skip" { "Go on without" } }
            }
        },
    )
}

/// Whether a person whom another provider knows agrees.
pub(super) fn consent(
    person: &Person,
    vouched_by: &str,
    asked_by: &str,
    session: &str,
    form_token: &str,
) -> Markup {
    page(
        "Do you agree?",
        html! {
            p {
                "Somebody wants to sign software in your name. "
                strong { "Go on only if you started it yourself." }
            }
            dl {
                dt { "Who asks" } dd { (asked_by) }
                dt { "You are" } dd { strong { (person.address) } }
                dt { "Says" } dd { (vouched_by) }
            }
            (public_for_ever())
            form method="post" action="/consent" {
                input type="hidden" name=(FORM_TOKEN) value=(form_token);
                input type="hidden" name=(SESSION) value=(session);
                (buttons("allow", "Sign in and agree"))
            }
        },
    )
}

/// After a device was answered.
pub(super) fn device_answered(allowed: bool) -> Markup {
    let (title, text) = match allowed {
        true => ("Done", "The other device goes on by itself. You can close this page."),
        false => ("Refused", "The other device was told that you refuse. You can close this page."),
    };
    page(title, html! { p { (text) } })
}

/// A code for the person to carry to the program.
pub(super) fn show_code(code: &str) -> Markup {
    page(
        "Your code",
        html! {
            p #code-label { "Copy this code into the program that asked for it. It is good for five minutes, once. Give it to nobody else: whoever has it may sign in your name." }
            p { output.code aria-labelledby="code-label" { (code) } }
        },
    )
}

/// After a person refused a program that can only be told by hand.
pub(super) fn refused() -> Markup {
    page("Refused", html! { p { "Nothing was signed. You can close this page and stop the program." } })
}

/// Something that cannot go on.
pub(super) fn sorry(text: &str) -> Markup {
    page(
        "This cannot go on",
        html! {
            p role="alert" { (text) }
            p { "Nothing was signed. You can close this page and start again from the program." }
        },
    )
}

/// What stands at the root of the service.
pub(super) fn about(issuer: &str, for_development: bool) -> Markup {
    page(
        "Sealog identity provider",
        html! {
            p { "Programs that sign send you here to say who you are. There is nothing to do on this page." }
            @if for_development { (believes_anyone()) }
            dl {
                dt { "Issuer" } dd { code { (issuer) } }
                dt { "For programs" }
                dd { a href="/.well-known/openid-configuration" { "discovery document" } ", " a href="/keys" { "keys" } }
                dt { "For a device without a browser" }
                dd { a href="/device" { "type in its code" } }
            }
        },
    )
}

fn believes_anyone() -> Markup {
    html! {
        section.warning aria-labelledby="believes" {
            h2 #believes { "For development only: this provider believes anyone" }
            p {
                "It asks for no password and sends no mail. Whoever can reach it can sign in with any "
                "address, including yours. A signature made here proves nothing about who made it."
            }
        }
    }
}

fn public_for_ever() -> Markup {
    html! {
        section.notice #for-ever aria-labelledby="public" {
            h2 #public { "What becomes public, for ever" }
            p {
                "Your email address goes into a certificate, with the time and the name of the provider that "
                "knows you. The certificate and each signature made with it are written into public logs that "
                "anyone can read, copy and search, and " strong { "from which nothing can ever be removed" }
                ". Use an address you are willing to show the whole world."
            }
        }
    }
}

/// The ways, in one form: the first button is what Enter presses.
fn who_are_you(ways: &Ways<'_>, form_token: &str, typed: &Typed) -> Markup {
    let bad = typed.complaint.as_ref().is_some_and(Complaint::is_about_address);
    let by_address = ways.believes_anyone || ways.mail;
    html! {
        input type="hidden" name=(FORM_TOKEN) value=(form_token);
        (complained(typed.complaint.as_ref()))
        @if by_address {
            label for="email" { "Email address" }
            input #email name="email" type="email" value=(typed.address) required maxlength="254" autocomplete="email"
                spellcheck="false" aria-invalid=(bad)
                aria-describedby=(if bad { "complaint for-ever" } else { "for-ever" });
            @if !ways.domains.is_empty() {
                p { "Addresses of " (ways.domains.join(", ")) " can sign here." }
            }
        }
        div.buttons {
            @if ways.believes_anyone {
                button type="submit" name="answer" value="allow" { "Continue" }
            }
            @if ways.mail {
                button type="submit" name="answer" value="mail" { "Send me a code" }
            }
            @if ways.passkey {
                div data-passkey="use" hidden {
                    button.quiet type="button" { "Use a passkey" }
                    p.complaint role="alert" hidden { "No passkey of this device was taken. Use the mail." }
                }
            }
            @for (name, label) in &ways.upstreams {
                button type="submit" name="answer" value={ (UPSTREAM) (name) } formnovalidate { "Continue with " (label) }
            }
            button.quiet type="submit" name="answer" value="refuse" formnovalidate { "Refuse" }
        }
    }
}

fn buttons(value: &str, text: &str) -> Markup {
    html! {
        div.buttons {
            button type="submit" name="answer" value=(value) { (text) }
            button.quiet type="submit" name="answer" value="refuse" formnovalidate { "Refuse" }
        }
    }
}

fn complained(complaint: Option<&Complaint>) -> Markup {
    html! {
        @if let Some(complaint) = complaint {
            p.complaint #complaint role="alert" { (complaint.text()) }
        }
    }
}

fn page(title: &str, content: Markup) -> Markup {
    framed(title, &Head::default(), content)
}

/// A page that does more where it may run our script.
fn scripted(title: &str, content: Markup) -> Markup {
    framed(title, &Head { script: true, ..Head::default() }, content)
}

/// What a page's head says beside the usual.
#[derive(Default)]
struct Head<'a> {
    refresh: Option<&'a str>,
    script: bool,
}

fn framed(title: &str, special: &Head<'_>, content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                @if let Some(refresh) = special.refresh { meta http-equiv="refresh" content=(refresh); }
                @if special.script { script src=(SCRIPT_PATH) defer {} }
                title { (title) " – Sealog" }
                link rel="stylesheet" href=(STYLE_PATH);
                link rel="icon" href="data:,";
            }
            body {
                main {
                    h1 { (title) }
                    (content)
                }
                footer { "Sealog identity provider" }
            }
        }
    }
}
