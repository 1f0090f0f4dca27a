//! The pages people see: sign in, answer a device, copy a code, an apology.
//!
//! Plain HTML that works without JavaScript; the only other request is for our own stylesheet. What a
//! person must know before they agree stands above the button: that this provider believes anyone, and
//! that what they type becomes public for ever. Everything shown is escaped by the template engine.

use super::grants::AuthRequest;
use maud::{DOCTYPE, Markup, html};

/// The stylesheet, served from [`STYLE_PATH`].
pub(super) const STYLE: &str = include_str!("style.css");
/// Where it is.
pub(super) const STYLE_PATH: &str = "/style.css";
/// The name of the hidden field that repeats the cookie.
pub(super) const FORM_TOKEN: &str = "form_token";

/// What is wrong with what the person typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    Address,
    UserCode,
    TooManyGuesses,
}

impl Complaint {
    const fn text(self) -> &'static str {
        match self {
            Self::Address => "That is not an email address. It should look like name@example.com.",
            Self::UserCode => {
                "No program is waiting with that code. Check it, or start again on the other device: \
                 codes are good for ten minutes and for one answer."
            }
            Self::TooManyGuesses => "Too many wrong codes in the last minute. Wait a minute, then try again.",
        }
    }
}

/// The sign-in page of a program on the same machine.
pub(super) fn sign_in(
    request: &AuthRequest,
    form_token: &str,
    typed: &str,
    complaint: Option<Complaint>,
) -> Markup {
    page(
        "Sign in to sign",
        html! {
            p { "A program on this computer wants to sign something in your name." }
            (believes_anyone())
            (public_for_ever())
            form method="post" action="/auth" {
                @for (name, value) in request.params() {
                    input type="hidden" name=(name) value=(value);
                }
                input type="hidden" name=(FORM_TOKEN) value=(form_token);
                (complained(complaint))
                (address_field(typed, complaint == Some(Complaint::Address)))
                (buttons())
            }
        },
    )
}

/// The page where a device's code is typed in and answered.
pub(super) fn device(form_token: &str, user_code: &str, typed: &str, complaint: Option<Complaint>) -> Markup {
    let bad_code = matches!(complaint, Some(Complaint::UserCode | Complaint::TooManyGuesses));
    page(
        "Sign in for another device",
        html! {
            p {
                "A program wants to sign something in your name. Go on only if you started it yourself, "
                "and if this is the code it shows."
            }
            (believes_anyone())
            (public_for_ever())
            form method="post" action="/device" {
                input type="hidden" name=(FORM_TOKEN) value=(form_token);
                (complained(complaint))
                label for="user_code" { "Code on the other device" }
                input #user_code name="user_code" type="text" value=(user_code) required maxlength="20"
                    autocomplete="off" autocapitalize="characters" spellcheck="false"
                    aria-invalid=(bad_code) aria-describedby=[bad_code.then_some("complaint")];
                (address_field(typed, complaint == Some(Complaint::Address)))
                (buttons())
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
            p #code-label { "Copy this code into the program that asked for it. It is good for five minutes, once." }
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
pub(super) fn about(issuer: &str) -> Markup {
    page(
        "Sealog identity provider",
        html! {
            p { "Programs that sign send you here to say who you are. There is nothing to do on this page." }
            (believes_anyone())
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
                "The address you type below goes into a certificate, with the time and this provider's "
                "name. The certificate and each signature made with it are written into public logs that "
                "anyone can read, copy and search, and " strong { "from which nothing can ever be removed" }
                ". Use an address you are willing to show the whole world."
            }
        }
    }
}

fn address_field(typed: &str, bad: bool) -> Markup {
    html! {
        label for="email" { "Email address" }
        input #email name="email" type="email" value=(typed) required maxlength="254" autocomplete="email"
            spellcheck="false" aria-invalid=(bad)
            aria-describedby=(if bad { "complaint for-ever" } else { "for-ever" });
    }
}

fn buttons() -> Markup {
    html! {
        div.buttons {
            button type="submit" name="answer" value="allow" { "Continue" }
            button.quiet type="submit" name="answer" value="refuse" formnovalidate { "Refuse" }
        }
    }
}

fn complained(complaint: Option<Complaint>) -> Markup {
    html! {
        @if let Some(complaint) = complaint {
            p.complaint #complaint role="alert" { (complaint.text()) }
        }
    }
}

fn page(title: &str, content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) " – Sealog" }
                link rel="stylesheet" href=(STYLE_PATH);
                link rel="icon" href="data:,";
            }
            body {
                main {
                    h1 { (title) }
                    (content)
                }
                footer { "Sealog identity provider, development" }
            }
        }
    }
}
