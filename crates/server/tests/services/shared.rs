//! Two instances of one identity provider: they share the directory of what waits, and that of the keys.

use sealog_server::{
    clock::Clock,
    config::{Config, Listen},
    listen::Bound,
    run::{Running, Sockets},
    setup::{self, Made},
};
use sealog_testkit::Reserved;
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::{
    harness::bound_again,
    operator::{said, sealogd},
};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

type Mailbox = Arc<Mutex<Vec<String>>>;

/// A mail server that takes everything, without TLS.
async fn mail_server() -> (u16, Mailbox) {
    let mailbox = Mailbox::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, letters) = (listener.local_addr().unwrap().port(), Arc::clone(&mailbox));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let letters = Arc::clone(&letters);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                stream.write_all(b"220 here\r\n").await.unwrap();
                let (mut line, mut letter, mut in_data) = (String::new(), String::new(), false);
                while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
                    if in_data && line != ".\r\n" {
                        letter.push_str(&line);
                    } else {
                        if in_data {
                            letters.lock().unwrap().push(std::mem::take(&mut letter));
                        }
                        in_data = line.starts_with("DATA");
                        let answer: &[u8] = if in_data { b"354 go on\r\n" } else { b"250 fine\r\n" };
                        stream.write_all(answer).await.unwrap();
                    }
                    line.clear();
                }
            });
        }
    });
    (port, mailbox)
}

/// The code in the newest letter, once there are so many.
async fn code(mailbox: &Mailbox, letters: usize) -> String {
    for _ in 0..6000 {
        if let Some(letter) = mailbox.lock().unwrap().get(letters - 1) {
            return letter
                .lines()
                .skip_while(|line| *line != "Your code is")
                .nth(2)
                .unwrap()
                .trim()
                .to_owned();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no letter");
}

/// One of the two.
struct One {
    config: PathBuf,
    port: u16,
    /// The same, to come back to.
    _port: Reserved,
    running: Option<Running>,
    client: reqwest::Client,
}

/// Writes a configuration: `url` is of both, the rest of its own.
fn configured(dir: &Path, name: &str, port: u16, url: &str, mail: u16) -> PathBuf {
    let text = format!(
        "data_dir = '{name}'\nkeys_dir = 'keys'\nclient_dir = '{name}-client'\nplain_keys = true\n\
         [oidc]\nlisten = 'localhost:{port}'\nurl = '{url}'\nstate_dir = 'shared/state'\n\
         [oidc.mail]\nfrom = 'id@example.org'\nserver = 'localhost:{mail}'\ntls = 'plain-unsafe'\n"
    );
    let path = dir.join(format!("{name}.toml"));
    fs::write(&path, text).unwrap();
    path
}

impl One {
    async fn start(config: PathBuf, port: Reserved) -> Self {
        let bound = Bound::bind(Listen::Localhost(port.port())).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut one = Self { config, port: port.port(), _port: port, running: None, client };
        one.run(bound).await;
        one
    }

    async fn run(&mut self, bound: Bound) {
        let config = Config::load(&self.config).unwrap();
        let sockets = Sockets::from([("oidc", bound)]);
        self.running = Some(Running::start(&config, Clock::system(), sockets).await.unwrap());
    }

    async fn restart(&mut self) {
        self.running.take().unwrap().stop().await;
        self.run(bound_again(self.port).await).await;
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let url = format!("http://localhost:{}{path}", self.port);
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.client.post(url).header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    async fn begins_device(&self) -> String {
        let form = [
            ("client_id", "sigstore"),
            ("scope", "openid email"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let (status, body) = self.post("/device/code", &form).await;
        assert_eq!(status, 200, "{body}");
        body["device_code"].as_str().unwrap().to_owned()
    }

    async fn says(&self, device: &str, more: &[(&str, &str)]) -> (u16, Value) {
        let mut form = vec![("client_id", "sigstore"), ("device_code", device)];
        form.extend(more);
        self.post("/device/mail", &form).await
    }

    async fn key_ids(&self) -> Vec<String> {
        let url = format!("http://localhost:{}/keys", self.port);
        let text = self.client.get(url).send().await.unwrap().text().await.unwrap();
        let set: Value = serde_json::from_str(&text).unwrap();
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }
}

async fn both(dir: &Path) -> (One, One, Mailbox) {
    let (mail, mailbox) = mail_server().await;
    let [first, second] = [(); 2].map(|()| Reserved::new());
    let url = format!("http://localhost:{}", first.port());
    let configs = [("a", first.port()), ("b", second.port())]
        .map(|(name, port)| configured(dir, name, port, &url, mail));
    let done =
        configs.each_ref().map(|path| setup::init(&Config::load(path).unwrap(), Clock::system()).unwrap());
    assert_eq!(done, [vec![("oidc", Made::New)], vec![("oidc", Made::Existing), ("data", Made::New)]]);
    let [a, b] = configs;
    (One::start(a, first).await, One::start(b, second).await, mailbox)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_instance_began_another_goes_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let (mut a, b, mailbox) = both(dir.path()).await;
    assert_eq!(a.key_ids().await, b.key_ids().await);
    let device = a.begins_device().await;
    let (status, begun) = a.says(&device, &[("email", "jane@example.org")]).await;
    assert_eq!(status, 200, "{begun}");
    let session = begun["session"].as_str().unwrap();
    let code = code(&mailbox, 1).await;
    let wrong = if code.starts_with('0') { "1111 1111" } else { "0000 0000" };
    // Tries count wherever they are made.
    for (one, left) in [(&a, 4), (&b, 3), (&a, 2)] {
        let (status, body) = one.says(&device, &[("session", session), ("code", wrong)]).await;
        assert_eq!((status, body["tries_left"].as_u64()), (400, Some(left)), "{body}");
    }
    let (status, body) = b.says(&device, &[("session", session), ("code", &code)]).await;
    assert_eq!(status, 200, "{body}");
    a.restart().await;
    let form = [
        ("client_id", "sigstore"),
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", &device),
        ("code_verifier", VERIFIER),
    ];
    let (status, body) = a.post("/token", &form).await;
    assert_eq!(status, 200, "{body}");
    // Who asks B for the keys can verify what A signed.
    let header = body["id_token"].as_str().unwrap().split('.').next().unwrap();
    let header: Value = {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
    };
    assert!(b.key_ids().await.iter().any(|id| header["kid"] == id.as_str()));
    let (status, body) = b.post("/token", &form).await;
    assert_eq!((status, body["error"].as_str()), (400, Some("expired_token")), "once, at either");
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_count_together() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b, mailbox) = both(dir.path()).await;
    let device = a.begins_device().await;
    // Three to one address for one network, twenty in all.
    for number in 0..20 {
        let one = if number % 2 == 0 { &a } else { &b };
        let address =
            if number < 7 { "often@example.org".to_owned() } else { format!("a{number}@example.org") };
        assert_eq!(one.says(&device, &[("email", &address)]).await.0, 200, "{number}");
    }
    for one in [&a, &b] {
        assert_eq!(one.says(&device, &[("email", "last@example.org")]).await.0, 429);
    }
    code(&mailbox, 16).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let letters = mailbox.lock().unwrap();
    let often = letters.iter().filter(|letter| letter.contains("To: often@example.org")).count();
    assert_eq!((letters.len(), often), (16, 3));
}

#[test]
fn a_shared_directory_is_there_and_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    let [one, other]: [Reserved; 2] = Reserved::in_a_row();
    let (port, url) = (one.port(), format!("http://localhost:{}", one.port()));
    let config = configured(dir.path(), "a", port, &url, 25);
    let (state, config) = (dir.path().join("shared/state"), config.to_str().unwrap());
    said(&sealogd(&["init", "--config", config]), 0);
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    let checked = sealogd(&["check", "--config", config]);
    said(&checked, 0);
    let text = String::from_utf8(checked.stdout).unwrap();
    assert!(text.contains(&format!("oidc     remembers what waits in {}", state.display())), "{text}");

    // One more instance finds all but its own directory, which is no mistake; a second time it is.
    let other = configured(dir.path(), "b", other.port(), &url, 25);
    for (status, words) in [(0, "data     created"), (2, "nothing was changed")] {
        let told = said(&sealogd(&["init", "--config", other.to_str().unwrap()]), status);
        assert!(told.contains(words), "{told}");
    }

    fs::set_permissions(&state, fs::Permissions::from_mode(0o750)).unwrap();
    for command in ["check", "run"] {
        let refusal = said(&sealogd(&[command, "--config", config]), 2);
        assert!(refusal.contains("mode 0750, expected 0700"), "{refusal}");
    }
    // Not mounted: an instance that made its own would go its own way.
    fs::remove_dir_all(&state).unwrap();
    for command in ["check", "run"] {
        let refusal = said(&sealogd(&[command, "--config", config]), 2);
        assert!(refusal.contains("`state_dir` is no directory: mount it"), "{refusal}");
    }
    assert!(!state.exists());
}
