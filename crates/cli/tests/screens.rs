//! What people see when they are refused, whole: wording is reviewed like code. No server is needed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use sealog_testkit::Reserved;
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    thread,
};
use tempfile::TempDir;

/// An empty home for one test.
struct Home(TempDir);

/// Standard output, standard error and exit status.
#[derive(Debug, PartialEq, Eq)]
struct Screen(String, String, i32);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.write("app.txt", b"hello\n");
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path().join(name), bytes).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealog"));
        command.args(line.split(' ')).current_dir(self.path()).env_clear().env("COLUMNS", "100");
        command
    }

    fn run(&self, line: &str) -> Screen {
        let output = self.command(line).stdin(Stdio::null()).output().unwrap();
        Screen(
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
            output.status.code().unwrap(),
        )
    }

    /// The command must fail with this status and exactly these words.
    #[track_caller]
    fn refuses(&self, line: &str, status: i32, words: &str) {
        assert_eq!(self.run(line), Screen(String::new(), words.to_owned(), status), "sealog {line}");
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// A trusted root that trusts nobody, which is enough for what fails before trust is asked for.
const NOBODY: &str = r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;
const POLICY: &str = "--identity ann@example.org --issuer https://accounts.example.org";

#[test]
fn nothing_to_trust_is_a_matter_of_configuration() {
    let home = Home::new();
    home.refuses(
        &format!("verify app.txt {POLICY}"),
        2,
        "\
error: nothing says whose word counts: no trusted root is given
hint: give --instance public-good, --trusted-root FILE, or --trust DIR; `sealogd dev --dir DIR` starts services of your own and makes DIR/client for --trust
",
    );
    home.refuses(
        "sign app.txt",
        2,
        "\
error: nothing says whose word counts: no trusted root is given
hint: give --trust-config FILE, or --trust DIR; `sealogd dev --dir DIR` starts services of your own and makes DIR/client for --trust
",
    );
}

#[test]
fn a_missing_trusted_root_means_that_nothing_was_checked() {
    let home = Home::new();
    let words = "\
error: `nowhere/trusted_root.json` does not exist
hint: ask whoever runs the services for the file, or check the path
";
    home.refuses(&format!("verify app.txt {POLICY} --trust nowhere"), 3, words);
    home.refuses("sign app.txt --trust nowhere", 3, words);
    let screen = home.run(&format!("verify app.txt {POLICY} --trusted-root none.json --json"));
    assert_eq!(screen.2, 3);
    assert_eq!(
        screen.0,
        "{\"file\":\"app.txt\",\"verdict\":\"not-checked\",\"identity\":null,\"issuer\":null,\"signed_at\":null,\
         \"time_source\":null,\"log\":null,\"log_index\":null,\"error\":{\"class\":\"trust-root\",\
         \"message\":\"`none.json` does not exist\",\"expected\":null,\"found\":null}}\n"
    );
}

#[test]
fn a_damaged_trusted_root_is_named() {
    let home = Home::new();
    home.write("root.json", b"{}");
    let screen = home.run(&format!("verify app.txt {POLICY} --trusted-root root.json"));
    assert_eq!(screen.2, 3);
    assert!(screen.1.starts_with("error: `root.json` is not a trusted root: mediaType"), "{}", screen.1);
}

#[test]
fn nobody_is_accepted_by_default() {
    let home = Home::new();
    home.write("root.json", NOBODY.as_bytes());
    home.refuses(
        "verify app.txt --trusted-root root.json",
        2,
        "\
error: nothing says who must have signed
hint: give --identity ID and --issuer URL, --key PEM, or --policy FILE; `sealog inspect` shows what a bundle claims
",
    );
    home.refuses(
        "verify app.txt --trusted-root root.json --identity ann@example.org",
        2,
        "\
error: an identity means nothing without who vouches for it
hint: add --issuer URL, the OpenID provider the signer signed in at
",
    );
    home.refuses(
        "verify app.txt --trusted-root root.json --identity= --issuer i",
        2,
        "error: --identity is empty\n",
    );
    let screen = home.run("verify app.txt --trusted-root root.json --identity-regexp ( --issuer i");
    assert_eq!(screen.2, 2);
    assert!(screen.1.starts_with("error: --identity-regexp `(` is not a regular expression"), "{}", screen.1);
}

#[test]
fn what_cannot_be_read_was_not_checked() {
    let home = Home::new();
    home.write("root.json", NOBODY.as_bytes());
    let verify = |rest: &str| format!("verify {rest} {POLICY} --trusted-root root.json");
    fs::create_dir(home.path().join("dir")).unwrap();
    home.refuses(&verify("dir"), 3, "error: the directory `dir` holds no files\n");
    home.refuses(&verify("app.txt --bundle dir"), 3, "error: `dir` is a directory, not a file\n");
    home.refuses(&verify("none.txt"), 3, "error: `none.txt` does not exist\n");
    home.refuses(
        &verify("app.txt"),
        3,
        "\
error: there is no bundle for `app.txt`
  expected  `app.txt.sigstore.json`, `app.txt.sigstore` or `app.txt.sigstore.jsonl`
  found     none of them
hint: give the bundle with --bundle if it is elsewhere; without one the file is not signed
",
    );
    let line = home.run(&verify("app.txt --json")).0;
    assert!(line.contains(r#""found":"none of them""#), "{line}");
    let line = home.run("verify app.txt --key none.pem --trusted-root root.json --json").0;
    assert!(line.contains(r#""verdict":"not-checked""#) && line.contains("none.pem"), "{line}");
    home.refuses(
        &verify("sha256:00"),
        2,
        "\
error: `sha256:00` is not a digest
  expected  sha256: and 64 hexadecimal digits
  found     2 characters after sha256:
",
    );
}

#[test]
fn what_is_no_bundle_does_not_verify() {
    let home = Home::new();
    home.write("root.json", NOBODY.as_bytes());
    let verify = format!("verify app.txt {POLICY} --trusted-root root.json");
    home.write("app.txt.sigstore.json", b"");
    home.refuses(&verify, 1, "error: `app.txt.sigstore.json` is empty, so not a bundle\n");
    home.refuses(
        "inspect app.txt.sigstore.json",
        1,
        "error: `app.txt.sigstore.json` is empty, so not a bundle\n",
    );
    for garbage in [vec![b'x'; 10 << 20], vec![b'['; 10 << 20], vec![0xff; 10 << 20], vec![b' '; 40 << 20]] {
        home.write("app.txt.sigstore.json", &garbage);
        let screen = home.run(&verify);
        assert_eq!(screen.2, 1, "{}", screen.1);
        assert!(
            screen.1.starts_with("error: `app.txt.sigstore.json` is not a Sigstore bundle: "),
            "{}",
            screen.1
        );
        assert!(screen.1.len() < 400, "{}", screen.1);
    }
    home.write("app.txt.sigstore.json", br#"{"mediaType":"application/vnd.dev.sigstore.bundle.v9+json"}"#);
    home.refuses(
        &verify,
        1,
        "\
error: `app.txt.sigstore.json` is a bundle of a version this program does not know
  expected  application/vnd.dev.sigstore.bundle.v0.3+json
  found     application/vnd.dev.sigstore.bundle.v9+json
hint: a newer sealog may know it
",
    );
    home.write("app.txt.sigstore.json", br#"{"base64Signature":"","cert":"","rekorBundle":{}}"#);
    let screen = home.run(&verify);
    assert_eq!(screen.2, 1);
    assert!(screen.1.contains("\nhint: it is what cosign wrote before there were bundles; "), "{}", screen.1);
}

#[test]
fn names_from_outside_cannot_paint_the_screen() {
    let home = Home::new();
    let body = "{\"mediaType\":\"\\u001b[2J\\u202egood\"}";
    home.write("b.json", body.as_bytes());
    let screen = home.run("inspect b.json");
    assert_eq!(screen.2, 1);
    assert!(screen.1.contains(r"\u{1b}[2J\u{202e}good"), "{}", screen.1);
    assert!(!screen.1.contains('\u{1b}') && !screen.1.contains('\u{202e}'));
}

#[test]
fn signing_fails_before_a_name_is_public() {
    let home = Home::new();
    fs::create_dir(home.path().join("trust")).unwrap();
    home.write("trust/trusted_root.json", NOBODY.as_bytes());
    // Port 9 of this machine answers nobody; nothing here may get as far as asking.
    home.write("trust/signing_config.json", services("http://localhost:9").as_bytes());
    home.write("app.txt.sigstore.json", b"mine");
    home.refuses(
        "sign app.txt --trust trust",
        2,
        "\
error: the bundle `app.txt.sigstore.json` exists already
hint: it was left as it is; --force replaces it, --bundle OUT writes elsewhere
",
    );
    home.refuses(
        "sign app.txt app.txt --trust trust --bundle one.json",
        2,
        "\
error: --bundle names one bundle, and there are several files
hint: without --bundle each bundle is written beside its file
",
    );
    home.refuses("sign none.txt --trust trust", 3, "error: `none.txt` does not exist\n");
    home.write("new.txt", b"new");
    for twice in ["new.txt new.txt", "new.txt ./new.txt", "new.txt trust/../new.txt"] {
        let again = twice.split(' ').next_back().unwrap();
        home.refuses(
            &format!("sign {twice} --trust trust"),
            2,
            &format!("error: `{again}` is named twice\n"),
        );
    }
    fs::remove_file(home.path().join("new.txt")).unwrap();
    home.refuses(
        "sign app.txt --trust trust --bundle out.json --identity-token nonsense",
        2,
        "\
error: not an identity token: it does not have three parts
hint: give the token itself, @FILE with the token in it, or - for standard input
",
    );
    home.refuses(
        "attest app.txt --predicate app.txt --type provenance --trust trust",
        2,
        "\
error: `provenance` is not a predicate type
  expected  a URI, or one of slsaprovenance, slsaprovenance02, slsaprovenance1, spdx, spdxjson, cyclonedx, link, vuln, openvex, custom
",
    );
    assert_eq!(fs::read(home.path().join("app.txt.sigstore.json")).unwrap(), b"mine");
    assert_eq!(home.names(), ["app.txt", "app.txt.sigstore.json", "trust"]);
}

#[test]
fn standard_input_has_no_name() {
    let home = Home::new();
    home.refuses(
        "sign - --trust trust",
        2,
        "\
error: standard input has no name to write a bundle beside
hint: give the bundle's place with --bundle OUT
",
    );
    home.refuses(
        "sign - --trust trust --bundle out.json --identity-token -",
        2,
        "error: standard input is named twice, and can be read once\n",
    );
    home.refuses(
        "attest - --predicate app.txt --type custom --trust trust",
        2,
        "error: a statement names what it is about, and standard input has no name\n",
    );
    home.write("root.json", NOBODY.as_bytes());
    let verify = format!("verify - --bundle - {POLICY} --trusted-root root.json");
    home.refuses(&verify, 2, "error: standard input is named twice, and can be read once\n");
    let verify = format!("verify - {POLICY} --trusted-root root.json");
    let words = "error: standard input has no bundle beside it\nhint: give the bundle with --bundle\n";
    home.refuses(&verify, 2, words);
}

#[test]
fn a_file_that_would_sign_an_envelope_is_not_signed() {
    let home = Home::new();
    fs::create_dir(home.path().join("trust")).unwrap();
    home.write("trust/trusted_root.json", NOBODY.as_bytes());
    home.write("trust/signing_config.json", services("http://localhost:9").as_bytes());
    home.write("envelope", b"DSSEv1 28 application/vnd.in-toto+json 2 {}");
    home.refuses(
        "sign envelope --trust trust --identity-token nonsense",
        1,
        "\
error: `envelope` reads as a DSSE envelope, so its signature would be one too
  expected  a file that does not begin with `DSSEv1 `
hint: state something about a file with `sealog attest`, or sign an archive that holds this one
",
    );
    // A shorter or other beginning is a file like any other, and gets as far as the token.
    for other in ["DSSEv1", "dssev1 28", "x DSSEv1 28"] {
        home.write("envelope", other.as_bytes());
        assert_eq!(home.run("sign envelope --trust trust --identity-token nonsense").2, 2, "{other}");
    }
    assert_eq!(home.names(), ["app.txt", "envelope", "trust"]);
}

#[test]
fn a_token_that_expired_is_not_sent() {
    let home = Home::new();
    fs::create_dir(home.path().join("trust")).unwrap();
    home.write("trust/trusted_root.json", NOBODY.as_bytes());
    home.write("trust/signing_config.json", services("http://localhost:9").as_bytes());
    // {"iss":"https://i.example","sub":"s","aud":"sigstore","exp":1}
    let token =
        "e30.eyJpc3MiOiJodHRwczovL2kuZXhhbXBsZSIsInN1YiI6InMiLCJhdWQiOiJzaWdzdG9yZSIsImV4cCI6MX0.c2ln";
    let mut child = home
        .command("sign app.txt --trust trust --identity-token -")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{token}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    let said = "identity: the token that was given\nerror: the identity token expired ";
    assert!(words.starts_with(said), "{words}");
    assert!(words.ends_with("hint: get a new token; they live for minutes\n"), "{words}");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(home.names(), ["app.txt", "trust"]);
}

#[test]
fn a_service_that_is_not_there_is_named() {
    let home = Home::new();
    fs::create_dir(home.path().join("trust")).unwrap();
    home.write("trust/trusted_root.json", NOBODY.as_bytes());
    let closed = Reserved::new();
    let port = closed.port();
    home.write("trust/signing_config.json", services(&format!("http://127.0.0.1:{port}")).as_bytes());
    home.refuses(
        "sign app.txt --trust trust --no-browser",
        3,
        &format!(
            "\
error: http://127.0.0.1:{port}/.well-known/openid-configuration could not be reached: Connection refused (os error 111)
hint: is the service running? proxies are taken from HTTPS_PROXY and NO_PROXY
"
        ),
    );
    assert_eq!(home.names(), ["app.txt", "trust"]);
}

#[test]
fn what_a_service_answers_decides_how_a_run_ends() {
    let home = Home::new();
    fs::create_dir(home.path().join("trust")).unwrap();
    home.write("trust/trusted_root.json", NOBODY.as_bytes());
    let address = "hint: is that the service's address? it comes from the signing config or --issuer-url\n";
    let trouble = "hint: the service is in trouble: try again later, or ask whoever runs it\n";
    for (answer, status, hint) in [
        ("400 Bad Request", 1, ""),
        ("404 Not Found", 3, address),
        ("302 Found\r\nLocation: http://other.invalid/", 3, address),
        ("500 Internal Server Error", 3, trouble),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        home.write("trust/signing_config.json", services(&format!("http://127.0.0.1:{port}")).as_bytes());
        let service = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // What is left unread when it closes would be a reset.
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            lines.map(Result::unwrap).take_while(|line| !line.is_empty()).for_each(drop);
            write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        });
        let screen = home.run("sign app.txt --trust trust --no-browser");
        service.join().unwrap();
        assert_eq!(screen.2, status, "{answer}: {}", screen.1);
        let (_, after) = screen.1.split_once('\n').unwrap();
        assert_eq!(after, hint, "{answer}");
    }
}

#[test]
fn services_of_this_machine_are_asked_past_the_proxy() {
    let home = Home::new();
    fs::create_dir(home.path().join("trust")).unwrap();
    home.write("trust/trusted_root.json", NOBODY.as_bytes());
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let way = format!("http://{}", proxy.local_addr().unwrap());
    for scheme in ["http", "https"] {
        home.write("trust/signing_config.json", services(&format!("{scheme}://localhost:9")).as_bytes());
        let mut command = home.command("sign app.txt --trust trust --no-browser");
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
            command.env(name, &way);
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(proxy.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "{scheme}");
    }
}

#[test]
fn help_begins_with_an_example() {
    let home = Home::new();
    for (line, example) in [
        ("--help", "Examples:\n  sealog sign app.tar.gz --trust ./client\n"),
        ("sign --help", "Examples:\n  sealog sign app.tar.gz --trust ./client\n"),
        ("verify --help", "Examples:\n  sealog verify app.tar.gz --identity ann@example.org"),
        ("attest --help", "Example:\n  sealog attest app.tar.gz"),
        ("inspect --help", "Example:\n  sealog inspect app.tar.gz.sigstore.json\n"),
    ] {
        let screen = home.run(line);
        assert_eq!(screen.2, 0);
        assert!(screen.0.starts_with(example), "{}", screen.0);
    }
    assert_eq!(home.run("verify").2, 2);
    assert_eq!(home.run("frobnicate").2, 2);
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let home = Home::new();
    let (_, unread) = std::io::pipe().unwrap();
    let output = home.command("--help").stdout(unread).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

fn services(url: &str) -> String {
    let service = |path: &str, version: u8| {
        format!(
            r#"[{{"url":"{url}{path}","majorApiVersion":{version},"validFor":{{"start":"2020-01-01T00:00:00Z"}},"operator":"o"}}]"#
        )
    };
    format!(
        r#"{{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","caUrls":{},"oidcUrls":{},"rekorTlogUrls":{},"rekorTlogConfig":{{"selector":"ANY"}},"tsaUrls":{},"tsaConfig":{{"selector":"ANY"}}}}"#,
        service("", 1),
        service("", 1),
        service("", 2),
        service("/api/v1/timestamp", 1),
    )
}
