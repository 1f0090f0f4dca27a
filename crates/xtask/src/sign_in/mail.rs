//! A person proves an address by a mail to it: through a mail server that requires TLS, and not through one that has none.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::instance::{ASK_LIMIT, Instance as Services, node};
use crate::House;
use crate::dev::write_secret;
use crate::peers::Peers;
use crate::process::{self, Scratch, Service, free_port};
use crate::tally::short;

const ADDRESS: &str = "grace@example.org";

/// A mail server, its mailbox, and the lines of a configuration that lead to it.
struct MailServer {
    service: Service,
    mailbox: PathBuf,
    table: String,
}

impl MailServer {
    fn start(house: &House, peers: &Peers, scratch: &Scratch, mode: &str) -> Result<Self> {
        let (key, certificate) = (scratch.file("mail.key"), scratch.file("mail.pem"));
        let (authority, request) = (scratch.file("authority.pem"), scratch.file("mail.csr"));
        std::fs::write(
            scratch.file("extensions"),
            "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n",
        )?;
        let openssl = |arguments: &str| {
            let mut command = Command::new("openssl");
            command.args(arguments.split(' ')).current_dir(scratch.path());
            process::run(&mut command, ASK_LIMIT)?.expect_success("openssl").map(drop)
        };
        openssl(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout authority.key -out authority.pem",
        )?;
        openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout mail.key -out mail.csr")?;
        openssl(
            "x509 -req -in mail.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile extensions -out mail.pem",
        )?;
        ensure!(request.exists(), "openssl made no request");
        let mailbox = scratch.file("mailbox");
        let path = |path: &Path| path.to_str().map(str::to_owned).context("the path is text");
        let arguments = [mode.to_owned(), path(&key)?, path(&certificate)?, path(&mailbox)?];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (service, said) = node(house, peers, "mail_server.cjs", &arguments, &scratch.file("mail.log"))?;
        let port = said.get("port").and_then(Value::as_u64).context("it names no port")?;
        let pem = std::fs::read_to_string(&authority)?;
        let mut table = format!(
            "\n[oidc.mail]\nfrom = \"Sealog <id@example.org>\"\nserver = \"localhost:{port}\"\n\
             ca_certificates = \"\"\"\n{pem}\"\"\"\n"
        );
        if mode == "first" {
            table.push_str("tls = \"tls\"\n");
        }
        if mode != "refused" {
            write_secret(&scratch.file("mail.password"), "a secret of the mail server\n")?;
            table.push_str("user = \"sealog\"\npassword_file = \"mail.password\"\n");
        }
        Ok(Self { service, mailbox, table })
    }

    fn letters(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.mailbox).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl MailServer {
    /// The code of that letter, which may be on its way.
    fn code(&self, letter: usize) -> Result<String> {
        let deadline = Instant::now() + ASK_LIMIT;
        while Instant::now() < deadline {
            let letters = self.letters();
            let text = letter.checked_sub(1).and_then(|at| letters.get(at)?.get("text")?.as_str());
            let is_code =
                |line: &&str| line.len() == 9 && line.chars().all(|c| c.is_ascii_digit() || c == ' ');
            if let Some(code) = text.and_then(|text| text.lines().map(str::trim).find(is_code)) {
                return Ok(code.to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("there is no letter {letter} with a code")
    }
}

/// Signs by browser and by device, each with a code from the mailbox.
pub(super) fn proven(house: &House, peers: &Peers) -> Result<usize> {
    let scratch = Scratch::new("sign-in-mail")?;
    let mut server = MailServer::start(house, peers, &scratch, "required")?;
    let mailbox = server.mailbox.to_string_lossy().into_owned();
    let instance = Services::start(house, peers, "mail", scratch, free_port()?, &server.table)?;
    let ask = |letter: usize| {
        vec![
            json!({"fill": "input[type=email]", "with": ADDRESS}),
            json!({"press": "button[value=mail]"}),
            json!({"expect": ADDRESS}),
            json!({"code": mailbox, "letter": letter}),
            json!({"press": "button[value=allow]"}),
        ]
    };
    let waiting = instance.sign("browser", &[])?;
    let mut steps = vec![json!({"size": [390, 844]})];
    steps.extend(ask(1));
    steps.push(json!({"expect": "You are signed in"}));
    let pages = instance.walk("browser", &waiting.address()?, &json!(steps))?;
    ensure!(pages.contains("public, for ever"), "the page does not say what becomes public:\n{pages}");
    instance.verify(&waiting.signed()?, ADDRESS, &instance.oidc)?;

    let waiting = instance.sign("device", &["--device"])?;
    let (page, code) = waiting.device()?;
    let mut steps = vec![
        json!({"fill": "#user_code", "with": code}),
        json!({"press": "form button[type=submit]"}),
        json!({"expect": "Go on only if you started it yourself"}),
        json!({"expect": "Network address it asked from"}),
    ];
    steps.extend(ask(2));
    steps.push(json!({"expect": "goes on by itself"}));
    instance.walk("device", &page, &json!(steps))?;
    instance.verify(&waiting.signed()?, ADDRESS, &instance.oidc)?;

    // With a passkey the second time: the browser keeps it, so both are signed in by one walk.
    let (first, second) = (instance.sign("passkey-made", &[])?, instance.sign("passkey-used", &[])?);
    let mut steps = vec![json!({"authenticator": true})];
    steps.extend(ask(3));
    steps.insert(steps.len().saturating_sub(1), json!({"check": "input[name=passkey]"}));
    steps.extend([
        json!({"expect": "can stand in for the mail"}),
        json!({"press": "[data-passkey=make] button"}),
        json!({"expect": "You are signed in"}),
        json!({"goto": second.address()?}),
        json!({"press": "[data-passkey=use] button"}),
        json!({"expect": "a passkey, after a mail to that address"}),
        json!({"expect": ADDRESS}),
        json!({"press": "button[value=allow]"}),
        json!({"expect": "You are signed in"}),
    ]);
    instance.walk("passkey", &first.address()?, &json!(steps))?;
    instance.verify(&first.signed()?, ADDRESS, &instance.oidc)?;
    instance.verify(&second.signed()?, ADDRESS, &instance.oidc)?;

    let letters = server.letters();
    ensure!(letters.len() == 3, "{} letters came", letters.len());
    for letter in &letters {
        let text = |name: &str| letter.get(name).and_then(Value::as_str).unwrap_or_default();
        ensure!(letter.get("secure") == Some(&json!(true)) && text("user") == "sealog", "{letter}");
        ensure!(letter.get("to") == Some(&json!([ADDRESS])) && text("from") == "id@example.org", "{letter}");
        for wanted in
            ["Auto-Submitted: auto-generated", "If it is not you, do nothing", "from the network address"]
        {
            ensure!(text("text").contains(wanted), "the letter does not say «{wanted}»:\n{}", text("text"));
        }
    }
    let log = instance.log();
    ensure!(!log.contains(ADDRESS), "the log names who was written to:\n{log}");
    instance.stop()?;
    server.service.stop()?;
    Ok(8)
}

/// A server that speaks TLS from the first byte; how long a sign-in takes whose mailbox is open.
pub(super) fn tls_first(house: &House, peers: &Peers) -> Result<usize> {
    let scratch = Scratch::new("sign-in-mail")?;
    let mut server = MailServer::start(house, peers, &scratch, "first")?;
    let mailbox = server.mailbox.to_string_lossy().into_owned();
    let instance = Services::start(house, peers, "mail-tls", scratch, free_port()?, &server.table)?;
    let waiting = instance.sign("browser", &[])?;
    let steps = json!([
        {"fill": "input[type=email]", "with": ADDRESS},
        {"press": "button[value=mail]"},
        {"code": mailbox, "letter": 1},
        {"press": "button[value=allow]"},
        {"expect": "You are signed in"},
    ]);
    let address = waiting.address()?;
    let started = Instant::now();
    instance.walk("browser", &address, &steps)?;
    println!("  from page to token, with pictures and examinations: {}", short(started.elapsed()));
    instance.verify(&waiting.signed()?, ADDRESS, &instance.oidc)?;
    // And into the terminal, at the second try.
    let mut waiting = instance.sign("terminal", &["--email", ADDRESS])?;
    let code = server.code(2)?;
    let wrong: String = code.chars().map(|c| if c == '7' { '3' } else { '7' }).collect();
    waiting.types(1, &wrong)?;
    waiting.types(2, &code)?;
    instance.verify(&waiting.signed()?, ADDRESS, &instance.oidc)?;
    let letters = server.letters();
    let secure = letters.iter().all(|letter| letter.get("secure") == Some(&json!(true)));
    ensure!(letters.len() == 2 && secure, "{letters:?}");
    instance.stop()?;
    server.service.stop()?;
    Ok(5)
}

/// A server without TLS gets no letter, and the operator hears of it.
pub(super) fn without_tls(house: &House, peers: &Peers) -> Result<usize> {
    let scratch = Scratch::new("sign-in-mail")?;
    let mut server = MailServer::start(house, peers, &scratch, "refused")?;
    let instance = Services::start(house, peers, "mail-without-tls", scratch, free_port()?, &server.table)?;
    let waiting = instance.sign("browser", &[])?;
    let steps = json!([
        {"fill": "input[type=email]", "with": ADDRESS},
        {"press": "button[value=mail]"},
        {"expect": ADDRESS},
    ]);
    instance.walk("browser", &waiting.address()?, &steps)?;
    let deadline = Instant::now() + ASK_LIMIT;
    while Instant::now() < deadline {
        if instance.log().contains("a mail was not taken by the mail server") {
            ensure!(server.letters().is_empty(), "a letter went out in the clear: {:?}", server.letters());
            instance.stop()?;
            server.service.stop()?;
            return Ok(2);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("nobody was told that the mail did not go out:\n{}", instance.log())
}
