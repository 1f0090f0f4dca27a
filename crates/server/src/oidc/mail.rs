//! The mail that carries a code: what it says, and its way to the mail server.
//!
//! Letters wait in a short queue and are sent by one task, so that a page answers at once, and alike whether a letter went out
//! or not. TLS is required unless the configuration says otherwise (RFC 3207, RFC 8314). Headers are built from parsed
//! addresses alone: nothing that anybody typed can begin a line of its own.

use super::address::Address;
use anyhow::Context as _;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Semaphore, mpsc};

use super::config::{Mail, Protection};

/// Letters that wait; more are refused, and the person is told to come back.
const MAX_WAITING: usize = 256;
/// Letters that are spoken of to the mail server at a time.
const AT_A_TIME: usize = 8;
/// A mail server may take this long for each step.
const STEP: Duration = Duration::from_secs(20);
/// Waits between tries; a code is good for ten minutes, so there are not many.
const AGAIN: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(45)];

/// A code on its way.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) to: Address,
    pub(super) code: String,
    /// What asks, in words.
    pub(super) asked_by: String,
    /// The network it was asked from.
    pub(super) from: String,
    /// When, as people write it, in UTC.
    pub(super) at: String,
}

/// The way to the mail server.
#[derive(Debug)]
pub(super) struct Post {
    queue: mpsc::Sender<Letter>,
}

/// As many letters wait as may.
#[derive(Debug, thiserror::Error)]
#[error("too many mails are waiting to be sent")]
pub(super) struct Busy;

/// A place in the queue; given back where it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a>(mpsc::Permit<'a, Letter>);

impl Place<'_> {
    /// Hands a letter over.
    pub(super) fn send(self, letter: Letter) {
        self.0.send(letter);
    }
}

impl Post {
    /// Sets out for the server of the configuration; it is spoken to when there is a letter.
    pub(super) fn start(config: &Mail, issuer: &str, host: &str) -> anyhow::Result<Self> {
        let office = Office {
            transport: transport(config, host)?,
            sending: Semaphore::new(AT_A_TIME),
            from: sender(config)?,
            issuer: issuer.to_owned(),
            host: host.to_owned(),
        };
        let (queue, letters) = mpsc::channel(MAX_WAITING);
        tokio::spawn(office.send_all(letters));
        Ok(Self { queue })
    }

    /// A place for a letter, before anybody knows whether there will be one.
    pub(super) fn place(&self) -> Result<Place<'_>, Busy> {
        self.queue.try_reserve().map(Place).map_err(|_| Busy)
    }
}

/// What an operator wants to know before the first letter.
pub(super) fn check(config: &Mail) -> anyhow::Result<()> {
    config.credentials()?;
    sender(config)?;
    authority(config).map(drop)
}

fn sender(config: &Mail) -> anyhow::Result<Mailbox> {
    config.from.parse().with_context(|| format!("`from` of [oidc.mail] is no mailbox: {}", config.from))
}

fn authority(config: &Mail) -> anyhow::Result<Option<Certificate>> {
    let read = |pem: &String| Certificate::from_pem(pem.as_bytes());
    config.ca_certificates.as_ref().map(read).transpose().context("`ca_certificates` of [oidc.mail]")
}

fn transport(config: &Mail, host: &str) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    let (server, port) = config.place()?;
    let mut tls = TlsParameters::builder(server.clone());
    if let Some(authority) = authority(config)? {
        tls = tls.add_root_certificate(authority);
    }
    let tls = match config.tls {
        Protection::Starttls => Tls::Required(tls.build()?),
        Protection::Tls => Tls::Wrapper(tls.build()?),
        Protection::PlainUnsafe => Tls::None,
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server)
        .port(port)
        .tls(tls)
        .timeout(Some(STEP))
        .hello_name(ClientId::Domain(host.to_owned()));
    Ok(match config.credentials()? {
        Some((user, password)) => builder.credentials(Credentials::new(user, password.to_string())).build(),
        None => builder.build(),
    })
}

struct Office {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sending: Semaphore,
    from: Mailbox,
    issuer: String,
    host: String,
}

impl Office {
    async fn send_all(self, mut letters: mpsc::Receiver<Letter>) {
        let office = Arc::new(self);
        // One slow recipient holds up nobody else: a letter that waits for its next try takes no place of another's.
        let mut under_way = tokio::task::JoinSet::new();
        while let Some(letter) = letters.recv().await {
            while under_way.len() >= MAX_WAITING {
                let _ = under_way.join_next().await;
            }
            let office = Arc::clone(&office);
            under_way.spawn(async move { office.deliver(&letter).await });
        }
    }

    /// Tries a few times; a server that says no for good is not asked again. Who was written to is not logged.
    async fn deliver(&self, letter: &Letter) {
        let message = match self.message(letter) {
            Ok(message) => message,
            Err(error) => return tracing::error!(service = "oidc", %error, "cannot write a mail"),
        };
        for wait in AGAIN.map(Some).into_iter().chain([None]) {
            let sent = match self.sending.acquire().await {
                Ok(_place) => self.transport.send(message.clone()).await,
                // Nobody closes it.
                Err(_) => return,
            };
            match sent {
                Ok(_) => return,
                Err(error) => {
                    let last = error.is_permanent() || wait.is_none();
                    let reason = without_addresses(&crate::http::chain(&error));
                    tracing::warn!(service = "oidc", reason, last, "a mail was not taken by the mail server");
                    match wait.filter(|_| !last) {
                        Some(wait) => tokio::time::sleep(wait).await,
                        None => return,
                    }
                }
            }
        }
    }

    fn message(&self, letter: &Letter) -> anyhow::Result<Message> {
        let to = Mailbox::new(None, letter.to.as_str().parse()?);
        Ok(Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(format!("Your code for signing, from {}", self.host))
            .header(Generated)
            .header(ContentType::TEXT_PLAIN)
            .message_id(None)
            .body(text(letter, &self.issuer))?)
    }
}

/// Mail servers like to repeat whom they refuse; the log is not to say it.
fn without_addresses(reason: &str) -> String {
    let words = reason.split_whitespace().map(|word| if word.contains('@') { "<address>" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// RFC 3834 §5: no holiday notice answers this.
#[derive(Clone)]
struct Generated;

impl lettre::message::header::Header for Generated {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        lettre::message::header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

fn text(letter: &Letter, issuer: &str) -> String {
    let Letter { to, code, asked_by, from, at } = letter;
    format!(
        "\
Your code is

    {code}

Somebody wants to sign software in the name of {to}.
They asked at {at} from the network address {from}:
{asked_by}.

If that is you, type the code into the page, or the program, that asked
for it. It is good for ten minutes, once. Going on puts this address into
public logs, from which nothing can be removed.

If it is not you, do nothing: without the code nobody can sign as you.
Never give it to anyone, and never type it into a page you did not open
yourself. Nobody from {issuer} will ever ask you for it.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};

    /// A mail server that has no time for a domain, and takes everything else.
    async fn mail_server() -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (taken, letters) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let taken = taken.clone();
                tokio::spawn(async move {
                    let mut stream = tokio::io::BufReader::new(stream);
                    stream.write_all(b"220 here\r\n").await.unwrap();
                    let (mut line, mut in_data) = (String::new(), false);
                    while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
                        if !in_data || line == ".\r\n" {
                            let later = line.contains("@later.example");
                            in_data = line.starts_with("DATA");
                            let answer: &[u8] = match (later, in_data) {
                                (true, _) => b"450 4.1.2 not now\r\n",
                                (_, true) => b"354 go on\r\n",
                                _ => b"250 fine\r\n",
                            };
                            if let (false, Some(to)) = (later, line.strip_prefix("RCPT TO:")) {
                                taken.send(to.trim().to_owned()).unwrap();
                            }
                            stream.write_all(answer).await.unwrap();
                        }
                        line.clear();
                    }
                });
            }
        });
        (port, letters)
    }

    fn letter(to: &str) -> Letter {
        let [code, asked_by, from, at] = ["1234 5678", "for x", "192.0.2.7", "now"].map(str::to_owned);
        Letter { to: Address::parse(to).unwrap(), code, asked_by, from, at }
    }

    fn settings(more: &str) -> Mail {
        toml::from_str(&format!("from = 'a@example.org'\nserver = 'localhost:25'\n{more}")).unwrap()
    }

    #[tokio::test]
    async fn letters_that_are_tried_again_hold_up_no_other() {
        let (port, mut letters) = mail_server().await;
        let config = Mail { server: format!("localhost:{port}"), ..settings("tls = 'plain-unsafe'") };
        let post = Post::start(&config, "https://i.example", "i.example").unwrap();
        // So many that even their shortest wait, in a place of their own, would be too long for her.
        for number in 0..12 * AT_A_TIME {
            post.place().unwrap().send(letter(&format!("a{number}@later.example")));
        }
        post.place().unwrap().send(letter("jane@example.org"));
        let first = tokio::time::timeout(Duration::from_secs(20), letters.recv()).await;
        assert_eq!(first.expect("she waits for strangers").unwrap(), "<jane@example.org>");
    }

    #[test]
    fn what_would_fail_at_the_first_letter_is_said_before() {
        check(&settings("")).unwrap();
        let no_sender = Mail { from: "nobody".to_owned(), ..settings("") };
        assert!(check(&no_sender).unwrap_err().to_string().contains("`from`"));
        assert!(check(&settings("user = 'x'")).is_err());
    }

    #[test]
    fn the_log_does_not_say_to_whom() {
        let said = "permanent error (550): 5.1.1 <Jane.Doe@example.org>: Recipient address rejected: \
                    to=jane@example.org";
        assert_eq!(
            without_addresses(said),
            "permanent error (550): 5.1.1 <address> Recipient address rejected: <address>"
        );
    }

    #[test]
    fn a_letter_says_what_is_asked_and_what_to_do() {
        let letter = Letter {
            to: Address::parse("jane@example.org").unwrap(),
            code: "1234 5678".to_owned(),
            asked_by: "a program on the computer where the page was opened".to_owned(),
            from: "192.0.2.7".to_owned(),
            at: "2026-11-27 09:30 UTC".to_owned(),
        };
        let said = text(&letter, "https://id.example.org");
        for wanted in
            ["    1234 5678\n", "jane@example.org", "192.0.2.7", "09:30 UTC", "If it is not you, do nothing"]
        {
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
        assert!(said.lines().all(|line| line.len() <= 76), "mail programs break longer lines: {said}");
    }
}
