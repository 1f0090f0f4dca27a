//! The ways to say who signs, with the real program against real services: ambient, on another device, by a carried code.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sealog_server::{
    clock::Clock,
    config::Config,
    dev,
    oidc::{DevToken, dev_token},
    run::Running,
};
use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// Services for one test, and a file to sign.
struct World {
    home: TempDir,
    config: Config,
    running: Option<Running>,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        Self::at(&Clock::system())
    }

    /// Services by whose clock it is another time.
    fn at(clock: &Clock) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("app.txt"), "app\n").unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (config, running) = runtime.block_on(async {
            let (config, sockets) = dev::prepare(&home.path().join("dev"), 0, clock.clone()).unwrap();
            let running = Running::start(&config, clock.clone(), sockets).await.unwrap();
            (config, running)
        });
        Self { home, config, running: Some(running), runtime }
    }

    fn token(&self) -> String {
        self.token_of(&Clock::system())
    }

    /// A token made at that time: they live for five minutes.
    fn token_of(&self, clock: &Clock) -> String {
        self.token_for("ann@example.org", clock)
    }

    fn token_for(&self, address: &str, clock: &Clock) -> String {
        let asked = DevToken::Email(address.to_owned());
        dev_token(&self.config, clock, &asked, "sigstore").unwrap()
    }

    fn oidc(&self) -> String {
        let ready = fs::read_to_string(self.config.client_dir().join("services.json")).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
        ready["services"]["oidc"].as_str().unwrap().to_owned()
    }

    /// `sealog sign app.txt`, with these options and variables and no others.
    fn sign(&self, options: &str, variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealog"));
        command.args(["sign", "app.txt", "--force", "--trust"]).arg(self.config.client_dir());
        command.args(options.split_whitespace()).current_dir(self.home.path()).env_clear();
        command.envs(variables.iter().copied()).stdin(Stdio::null());
        command
    }

    fn bundle(&self) -> PathBuf {
        self.home.path().join("app.txt.sigstore.json")
    }

    /// Posts a form of the provider's pages, with the token that the page hands out, as a browser without scripts does.
    fn answer(&self, page: &str, fields: &[(&str, &str)]) -> String {
        self.runtime.block_on(async {
            let client =
                reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
            let shown = client.get(page).send().await.unwrap();
            let cookie =
                shown.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
            let token = cookie.split_once('=').unwrap().1.to_owned();
            let html = shown.text().await.unwrap();
            let name =
                html.split("name=\"").find(|part| part.contains(&token)).unwrap().split('"').next().unwrap();
            let mut form: HashMap<&str, &str> = fields.iter().copied().collect();
            form.insert(name, &token);
            // What the page repeats of the program's request.
            let hidden: Vec<(String, String)> = html
                .split("type=\"hidden\"")
                .skip(1)
                .filter_map(|part| {
                    let value = |key: &str| part.split(&format!("{key}=\"")).nth(1)?.split('"').next();
                    Some((value("name")?.to_owned(), value("value")?.replace("&amp;", "&")))
                })
                .collect();
            hidden.iter().for_each(|(name, value)| {
                form.entry(name).or_insert(value);
            });
            // A form without an action goes back to where it came from.
            let action = html.split("action=\"").nth(1).and_then(|rest| rest.split('"').next());
            let form_url = reqwest::Url::parse(page).unwrap().join(action.unwrap_or_default()).unwrap();
            let origin = self.oidc();
            let request = client.post(form_url).header("cookie", cookie).header("origin", origin).form(&form);
            let answer = request.send().await.unwrap();
            let status = answer.status();
            let text = answer.text().await.unwrap();
            assert!(status.is_success(), "{status}: {text}");
            text
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }
}

fn words(command: &mut Command) -> (String, i32) {
    let output = command.output().unwrap();
    (String::from_utf8(output.stderr).unwrap(), output.status.code().unwrap())
}

/// Reads what a program says until it has said a line that begins so; that line and the next.
fn line_after(child: &mut Child, start: &str) -> (String, BufReader<std::process::ChildStderr>) {
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut all = String::new();
    loop {
        let mut line = String::new();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended: {all}");
        all.push_str(&line);
        if line.starts_with(start) {
            let mut next = String::new();
            said.read_line(&mut next).unwrap();
            return (next.trim().to_owned(), said);
        }
    }
}

#[test]
fn a_build_system_is_asked_and_named() {
    let world = World::new();
    let token = world.token();
    let (said, status) = words(&mut world.sign("", &[("SIGSTORE_ID_TOKEN", &token)]));
    assert_eq!(status, 0, "{said}");
    assert_eq!(said, "identity: the variable SIGSTORE_ID_TOKEN (--no-ambient to sign in as a person)\n");
    assert!(world.bundle().exists());

    let (said, status) = words(&mut world.sign("", &[("GITHUB_ACTIONS", "true")]));
    assert_eq!(status, 1, "{said}");
    assert_eq!(
        said,
        "\
identity: GitHub Actions (--no-ambient to sign in as a person)
error: GitHub Actions gives this job no identity token: ACTIONS_ID_TOKEN_REQUEST_URL is not set
hint: give the workflow, or the job, `permissions: id-token: write`
"
    );
    let (said, status) = words(&mut world.sign("", &[("SIGSTORE_ID_TOKEN", "nonsense")]));
    assert_eq!(status, 1, "{said}");
    assert!(
        said.contains("the variable SIGSTORE_ID_TOKEN gave something else than an identity token"),
        "{said}"
    );
    // A token on the command line is a decision; what the machine vouches for is not asked then.
    let given = format!("--identity-token {token}");
    let (said, status) = words(&mut world.sign(&given, &[("GITHUB_ACTIONS", "true")]));
    assert_eq!((said.as_str(), status), ("identity: the token that was given\n", 0));
}

#[test]
fn without_a_screen_another_device_is_used() {
    let world = World::new();
    for (options, variables) in [
        ("", &[][..]),
        ("--device", &[("DISPLAY", ":0")]),
        ("", &[("SSH_TTY", "/dev/pts/0"), ("DISPLAY", ":10")]),
    ] {
        let _ = fs::remove_file(world.bundle());
        let mut child =
            world.sign(options, variables).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (page, mut said) = line_after(&mut child, "to sign in, open on any device");
        let mut next = [String::new(), String::new()];
        for line in &mut next {
            said.read_line(line).unwrap();
        }
        assert_eq!(
            (page.as_str(), next[0].as_str()),
            (format!("{}/device", world.oidc()).as_str(), "and type the code\n")
        );
        let answer = [("user_code", next[1].trim()), ("email", "ann@example.org"), ("answer", "allow")];
        world.answer(&page, &answer);
        assert!(child.wait().unwrap().success());
        let mut last = String::new();
        said.read_line(&mut last).unwrap();
        assert_eq!(last, "signed in as ann@example.org\n");
        assert!(world.bundle().exists());
    }
}

#[test]
fn a_person_who_refuses_signs_nothing() {
    let world = World::new();
    let mut child = world.sign("--device", &[]).stderr(Stdio::piped()).spawn().unwrap();
    let (page, mut said) = line_after(&mut child, "to sign in, open on any device");
    let mut next = [String::new(), String::new(), String::new()];
    for line in next.iter_mut().take(2) {
        said.read_line(line).unwrap();
    }
    world.answer(&page, &[("user_code", next[1].trim()), ("answer", "refuse")]);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    said.read_line(&mut next[2]).unwrap();
    assert!(next[2].starts_with("error: the OpenID provider refused"), "{}", next[2]);
    assert!(!world.bundle().exists());
}

#[test]
fn a_code_is_carried_over_by_hand() {
    let world = World::new();
    let mut command = world.sign("--paste", &[]);
    let mut child =
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (url, _said) = line_after(&mut child, "to sign in, open in any browser");
    let html = world.answer(&url, &[("email", "ann@example.org"), ("answer", "allow")]);
    let code =
        html.split("<output").nth(1).and_then(|rest| rest.split('>').nth(1)?.split('<').next()).unwrap();
    writeln!(child.stdin.take().unwrap(), "  {code} ").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(world.bundle().exists());

    for typed in ["\n", "not a code of anyone's\n", ""] {
        let _ = fs::remove_file(world.bundle());
        let mut command = world.sign("--paste", &[]);
        let mut child =
            command.stdin(Stdio::piped()).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        assert_ne!(child.wait().unwrap().code(), Some(0), "{typed:?}");
        assert!(!world.bundle().exists());
    }
}

fn seconds_ago(seconds: u64) -> Clock {
    Clock::fixed(Clock::system().unix_ms() - seconds * 1000)
}

/// A program of that name in a directory of its own, which is handed back for `PATH`.
fn program(world: &World, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let room = world.home.path().join("programs");
    fs::create_dir_all(&room).unwrap();
    let path = room.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    room.to_str().unwrap().to_owned()
}

#[test]
fn the_programs_of_build_systems_are_asked() {
    let world = World::new();
    let (token, asked) = (world.token(), world.home.path().join("asked"));
    let text = |then: &str| format!("printf '%s|' \"$@\" > '{}'\n{then}", asked.display());
    for (system, name, variable, arguments) in [
        ("CircleCI", "circleci", "CIRCLECI", "run|oidc|get|--claims|{\"aud\":\"sigstore\"}|"),
        ("Buildkite", "buildkite-agent", "BUILDKITE", "oidc|request-token|--audience|sigstore|"),
    ] {
        let _ = fs::remove_file(world.bundle());
        let path = program(&world, name, &text(&format!("echo '{token}'")));
        let (said, status) = words(&mut world.sign("", &[(variable, "true"), ("PATH", &path)]));
        assert_eq!(
            (said.as_str(), status),
            (format!("identity: {system} (--no-ambient to sign in as a person)\n").as_str(), 0)
        );
        assert_eq!(fs::read_to_string(&asked).unwrap(), arguments);
        assert!(world.bundle().exists());

        let path = program(&world, name, &text("exit 3"));
        let (said, status) = words(&mut world.sign("", &[(variable, "true"), ("PATH", &path)]));
        assert_eq!(status, 1, "{said}");
        assert!(said.contains(name) && said.contains("exit status: 3"), "{said}");
    }
}

#[test]
fn the_way_is_said_before_the_browser_is_started() {
    let world = World::new();
    let (screen, seen) = (world.home.path().join("screen"), world.home.path().join("seen"));
    // A browser that looks at what was said so far, and visits nothing.
    let look =
        format!("/bin/cat '{}' > '{}.part'; /bin/mv '{1}.part' '{1}'", screen.display(), seen.display());
    let browser = format!("{}/looker", program(&world, "looker", &look));
    let mut command = world.sign("", &[("BROWSER", &browser)]);
    let mut child = command.stderr(fs::File::create(&screen).unwrap()).spawn().unwrap();
    let since = std::time::Instant::now();
    while !seen.exists() && since.elapsed().as_secs() < 20 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let said = fs::read_to_string(seen).unwrap();
    let start = format!(
        "identity: a person, with a browser (others: --no-browser, --device, --paste, --email), at {}\n",
        world.oidc()
    );
    assert!(said.starts_with(&start), "{said}");
    assert!(said.contains("dpop_jkt="), "the token is to be bound to the key: {said}");
}

#[test]
fn an_agent_that_cannot_be_reached_is_no_refusal() {
    let world = World::new();
    for (address, status) in [("unix:///nowhere/agent.sock", 3), ("nonsense", 2)] {
        let (said, found) = words(&mut world.sign("", &[("SPIFFE_ENDPOINT_SOCKET", address)]));
        assert_eq!(found, status, "{said}");
    }
}

#[test]
fn a_token_that_expires_soon_is_said_to() {
    let world = World::new();
    let token = world.token_of(&seconds_ago(270));
    let (said, status) = words(&mut world.sign("", &[("SIGSTORE_ID_TOKEN", &token)]));
    assert_eq!(status, 0, "{said}");
    assert!(
        said.contains("\nnote: the identity token expires in ") && said.contains(" s; what is not"),
        "{said}"
    );
}

#[test]
fn a_long_run_gets_a_new_token_with_each_certificate() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    // Certificates of ten minutes, of which nine and a half are over.
    let world = World::at(&Clock::of(|| Clock::system().unix_ms() - 570_000));
    let asked = Arc::new(AtomicUsize::new(0));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let (count, token) = (Arc::clone(&asked), world.token_of(&seconds_ago(200)));
    let other = world.token_for("mallory@example.org", &seconds_ago(200));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let served = count.fetch_add(1, Ordering::SeqCst);
            let body = serde_json::json!({ "value": if served < 6 { &token } else { &other } }).to_string();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    for name in ["b.txt", "c.txt"] {
        fs::write(world.home.path().join(name), name).unwrap();
    }
    let here = [
        ("GITHUB_ACTIONS", "true"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret"),
    ];
    let (said, status) = words(&mut world.sign("b.txt c.txt", &here));
    assert_eq!(status, 0, "{said}");
    assert!(
        said.contains("the certificate is about to expire; files left: 1\nidentity: GitHub Actions"),
        "{said}"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 4, "once, and again before each file: {said}");
    assert!(world.home.path().join("c.txt.sigstore.json").exists());
    // The seventh token is of somebody else.
    let (said, status) = words(&mut world.sign("b.txt c.txt", &here));
    assert_eq!(status, 1, "{said}");
    assert!(
        said.contains("somebody else signed in than before") && said.contains("mallory@example.org"),
        "{said}"
    );
}

#[test]
fn a_build_system_needs_no_place_where_people_sign_in() {
    let world = World::new();
    let path = world.config.client_dir().join("signing_config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["oidcUrls"] = serde_json::json!([]);
    fs::write(&path, config.to_string()).unwrap();
    let token = world.token();
    let (said, status) = words(&mut world.sign("", &[("SIGSTORE_ID_TOKEN", &token)]));
    assert_eq!(status, 0, "{said}");
    let (said, status) = words(&mut world.sign("--device", &[]));
    assert_eq!(status, 2);
    assert_eq!(
        said,
        "\
error: the signing config names no OpenID provider where people sign in
hint: --issuer-url names one; a build system is asked without, and --identity-token needs none
"
    );
}
