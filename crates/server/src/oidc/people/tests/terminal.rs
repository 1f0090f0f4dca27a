//! A mail code typed into the terminal that asked, and what must not work there.

use super::*;
use serde_json::{Value, json};

const PROGRAM: &str = "sealog/0.1.0 (linux)";

/// A program in a terminal: what it calls itself, and where it is.
struct Program<'a> {
    world: &'a World,
    from: IpAddr,
    device: String,
    user_code: String,
}

/// An answer: status and body.
type Said = (u16, Value);

async fn post(world: &World, from: IpAddr, path: &str, form: &[(&str, &str)], more: &[(&str, &str)]) -> Page {
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut request = http::Request::post(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::USER_AGENT, PROGRAM);
    for (name, value) in more {
        if *name == "user-agent" {
            request.headers_mut().unwrap().remove(header::USER_AGENT);
        }
        request = request.header(*name, *value);
    }
    let sender = Browser { world, cookie: Mutex::new(None), from };
    sender.send(request.body(Body::from(form)).unwrap()).await
}

impl<'a> Program<'a> {
    async fn new(world: &'a World) -> Self {
        Self::from(world, "192.0.2.1", PROGRAM).await
    }

    async fn from(world: &'a World, from: &str, calls_itself: &str) -> Self {
        let from: IpAddr = from.parse().unwrap();
        let form = [
            ("client_id", "sigstore"),
            ("scope", "openid email"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("dpop_jkt", CHALLENGE),
        ];
        let answer = post(world, from, "/device/code", &form, &[("user-agent", calls_itself)]).await;
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Self { world, from, device: text("device_code"), user_code: text("user_code") }
    }

    async fn says(&self, fields: &[(&str, &str)]) -> Said {
        let mut form = vec![("client_id", "sigstore"), ("device_code", self.device.as_str())];
        form.extend(fields);
        let page = post(self.world, self.from, "/device/mail", &form, &[]).await;
        (page.status.as_u16(), serde_json::from_str(&page.body).unwrap())
    }

    /// Has a letter sent; the session's name.
    async fn mailed(&self, address: &str) -> String {
        let (status, body) = self.says(&[("email", address)]).await;
        assert_eq!((status, body["expires_in"].as_u64()), (200, Some(600)), "{body}");
        body["session"].as_str().unwrap().to_owned()
    }

    async fn typed(&self, session: &str, code: &str) -> Said {
        self.says(&[("session", session), ("code", code)]).await
    }

    /// What the device grant says.
    async fn asks_for_token(&self, verifier: &str) -> Said {
        self.world.wait(2000);
        let form = [
            ("client_id", "sigstore"),
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", &self.device),
            ("code_verifier", verifier),
        ];
        let page = post(self.world, self.from, "/token", &form, &[]).await;
        (page.status.as_u16(), serde_json::from_str(&page.body).unwrap())
    }
}

#[track_caller]
fn refused((status, body): &Said, expected: u16, error: &str, words: &str) {
    assert_eq!((*status, body["error"].as_str()), (expected, Some(error)), "{body}");
    assert!(body["error_description"].as_str().unwrap().contains(words), "{words}: {body}");
}

fn claims(body: &Value) -> Value {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = body["id_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn other_than(code: &str) -> &'static str {
    if code.starts_with('0') { "1111 1111" } else { "0000 0000" }
}

#[tokio::test]
async fn a_code_is_typed_into_the_terminal_that_asked() {
    let world = World::with_mail().await;
    let document = Browser::new(&world).open("/.well-known/openid-configuration").await;
    let document: Value = serde_json::from_str(&document.body).unwrap();
    assert_eq!(document["mail_proof_endpoint"], format!("{}/device/mail", world.url));

    let program = Program::new(&world).await;
    let session = program.mailed(" Jane@Example.ORG ").await;
    let code = world.code(1).await;
    let letter = world.mailbox.lock().unwrap()[0].replace("\r\n", "\n");
    for wanted in
        ["To: Jane@example.org", "192.0.2.1", "for a program in a terminal, which calls itself sealog."]
    {
        assert!(letter.contains(wanted), "{wanted}: {letter}");
    }
    refused(&program.asks_for_token(VERIFIER).await, 400, "authorization_pending", "");
    let wrong = program.typed(&session, other_than(&code)).await;
    refused(&wrong, 400, "invalid_grant", "the code is wrong; 4 tries are left");
    assert_eq!(wrong.1["tries_left"], 4);
    assert_eq!(program.typed(&session, &format!(" {code}\n")).await, (200, json!({"status": "proven"})));
    let (status, body) = program.asks_for_token(VERIFIER).await;
    assert_eq!(status, 200, "{body}");
    let claims = claims(&body);
    assert_eq!(claims["email"], "Jane@example.org");
    assert_eq!(claims["federated_claims"]["connector_id"], world.url.as_str());
    assert_eq!(claims["cnf"]["jkt"], CHALLENGE);
    refused(&program.typed(&session, &code).await, 400, "expired_token", "answered already");
    refused(&program.says(&[("email", "jane@example.org")]).await, 400, "expired_token", "answered already");

    // What was proven is for the verifier's owner alone.
    let program = Program::new(&world).await;
    let session = program.mailed("jane@example.org").await;
    let code = world.code(2).await;
    assert_eq!(program.typed(&session, &code).await.0, 200);
    refused(&program.asks_for_token(CHALLENGE).await, 400, "invalid_grant", "");
}

#[tokio::test]
async fn a_terminals_code_is_for_five_tries_ten_minutes_and_one_device() {
    let world = World::with_mail().await;
    let (program, eve) = (Program::new(&world).await, Program::from(&world, "192.0.2.66", PROGRAM).await);
    let session = program.mailed("jane@example.org").await;
    let code = world.code(1).await;
    // Forwarded to, or read over the shoulder by, somebody with a device code of their own.
    refused(&eve.typed(&session, &code).await, 400, "expired_token", "another program");
    let hers = eve.mailed("jane@example.org").await;
    world.code(2).await;
    refused(&eve.typed(&hers, &code).await, 400, "invalid_grant", "4 tries");
    refused(&program.typed(&hers, &code).await, 400, "expired_token", "another program");
    // Nor do two sessions of one device share a code.
    let second = program.mailed("jane@example.org").await;
    world.code(3).await;
    refused(&program.typed(&second, &code).await, 400, "invalid_grant", "4 tries");

    for left in [4, 3, 2, 1] {
        let wrong = program.typed(&session, other_than(&code)).await;
        let words = if left == 1 { "1 try is left".to_owned() } else { format!("{left} tries are left") };
        refused(&wrong, 400, "invalid_grant", &words);
        assert_eq!(wrong.1["tries_left"], left);
    }
    refused(&program.typed(&session, other_than(&code)).await, 400, "expired_token", "");
    refused(&program.typed(&session, &code).await, 400, "expired_token", "");
    refused(&program.asks_for_token(VERIFIER).await, 400, "authorization_pending", "");

    let program = Program::new(&world).await;
    world.wait(60_000);
    let session = program.mailed("jane@example.org").await;
    let code = world.code(4).await;
    world.wait(crate::oidc::proof::LIFE_MS);
    refused(&program.typed(&session, &code).await, 400, "expired_token", "");
    let unknown = Program { device: CHALLENGE.to_owned(), ..program };
    refused(&unknown.says(&[("email", "jane@example.org")]).await, 400, "expired_token", "never was one");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(world.letters(), 4, "no letter for no device");
}

#[tokio::test]
async fn page_and_terminal_do_not_pass_for_each_other() {
    let world = World::with_mail().await;
    let program = Program::new(&world).await;
    let session = program.mailed("jane@example.org").await;
    let code = world.code(1).await;
    // A browser whose cookie says the device code's secret.
    let browser = Browser::new(&world);
    let page = browser.mailed("lin@example.org").await;
    let lins = page.fields().into_iter().find(|(name, _)| name == "session").unwrap().1;
    let lins_code = world.code(2).await;
    *browser.cookie.lock().unwrap() = Some(format!("sealog_form={}", program.device));
    let typed = [
        ("form_token", program.device.as_str()),
        ("session", &session),
        ("code", &code),
        ("answer", "allow"),
    ];
    assert_eq!(browser.press(&page, &typed).await.status, StatusCode::BAD_REQUEST);
    refused(&program.typed(&lins, &lins_code).await, 400, "expired_token", "another program");

    // The person refuses on the page: neither the code nor another letter counts after it.
    let person = Browser::new(&world);
    let page = person.open(&format!("/device?user_code={}", program.user_code)).await;
    let page = person.press(&page, &[]).await;
    assert!(person.press(&page, &[("answer", "refuse")]).await.body.contains("was told that you refuse"));
    refused(&program.typed(&session, &code).await, 400, "expired_token", "answered already");
    refused(&program.says(&[("email", "jane@example.org")]).await, 400, "expired_token", "");
    refused(&program.asks_for_token(VERIFIER).await, 400, "access_denied", "");
}

#[tokio::test]
async fn limits_tell_a_terminal_nothing_of_an_address() {
    let world = World::with_mail().await;
    for number in 0..10 {
        Browser::from(&world, &format!("198.51.100.{number}")).mailed("often@example.org").await;
    }
    world.code(10).await;
    let (busy, fresh) = (Program::new(&world).await, Program::from(&world, "192.0.2.2", PROGRAM).await);
    // Ten went out, for pages; this one does not, and no code is right.
    let silent = busy.mailed("often@example.org").await;
    let sent = fresh.mailed("never@example.org").await;
    world.code(11).await;
    assert_eq!(silent.len(), sent.len());
    let shape = |said: Said| (said.0, said.1);
    assert_eq!(shape(busy.typed(&silent, "0000 0000").await), shape(fresh.typed(&sent, "no digits").await));
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(world.letters(), 11);
    for number in 1..20 {
        busy.mailed(&format!("a{number}@example.org")).await;
    }
    let program = Program::new(&world).await;
    let refusal = program.says(&[("email", "a20@example.org")]).await;
    refused(&refusal, 429, "temporarily_unavailable", "from your network");
    // The page counts the same.
    assert_eq!(Browser::new(&world).mailed("a@example.org").await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn what_a_terminal_asks_is_one_thing_and_well_formed() {
    let world = World::new(&format!("domains = ['example.org', 'xn--pple-43d.com']\n{MAIL}")).await;
    let program = Program::new(&world).await;
    for both in [
        &[("email", "jane@example.org"), ("session", "x"), ("code", "1")][..],
        &[("email", "jane@example.org"), ("code", "1")],
        &[("email", "jane@example.org"), ("session", "x")],
        &[("session", "x")],
        &[("code", "1")],
        &[],
    ] {
        refused(&program.says(both).await, 400, "invalid_request", "either email, or session and code");
    }
    refused(
        &program.says(&[("email", "jane")]).await,
        400,
        "invalid_request",
        "That is not an email address.",
    );
    let header = program.says(&[("email", "jane@example.org\r\nBcc: eve@example.net")]).await;
    refused(&header, 400, "invalid_request", "That is not an email address.");
    refused(
        &program.says(&[("email", "j\u{e4}ne@example.org")]).await,
        400,
        "invalid_request",
        "only plain letters",
    );
    let elsewhere = program.says(&[("email", "jane@example.net")]).await;
    refused(&elsewhere, 400, "access_denied", "Only addresses of these domains");
    let form =
        [("device_code", program.device.as_str()), ("client_id", "other"), ("email", "jane@example.org")];
    let page = post(&world, program.from, "/device/mail", &form, &[]).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    let page = post(&world, program.from, "/device/mail", &form[2..], &[]).await;
    assert!(page.status == StatusCode::BAD_REQUEST && page.body.contains("device_code is missing"));
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(world.letters(), 0);

    let without = World::new("").await;
    let document = Browser::new(&without).open("/.well-known/openid-configuration").await;
    assert!(!document.body.contains("mail_proof_endpoint"));
    assert_eq!(post(&without, program.from, "/device/mail", &form, &[]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn no_page_of_another_site_has_letters_sent_from_its_visitors() {
    let world = World::with_mail().await;
    let program = Program::new(&world).await;
    let form =
        [("client_id", "sigstore"), ("device_code", program.device.as_str()), ("email", "jane@example.org")];
    for more in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", world.url.as_str()),
        ("sec-fetch-site", "cross-site"),
    ] {
        let page = post(&world, program.from, "/device/mail", &form, &[more]).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{more:?}: {}", page.body);
    }
    let preflight = http::Request::options("/device/mail").body(Body::empty()).unwrap();
    let answer = world.app.clone().oneshot(preflight).await.unwrap();
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(!answer.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(world.letters(), 0);
}

#[tokio::test]
async fn a_programs_name_puts_no_words_into_the_letter() {
    for (calls_itself, shown) in [
        ("Mozilla/5.0", "which calls itself Mozilla,"),
        ("evil.example/1.0 type the code at https://evil.example", "which calls itself evil,"),
        ("https://evil.example", "which calls itself https,"),
        ("Call-1-800-555-0100", "which calls itself Call,"),
        ("your--bank", "which calls itself your,"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "which calls itself aaaaaaaaaaaaaaaaaaaaaaaa,"),
        ("<b>", "which gives no name,"),
    ] {
        let world = World::with_mail().await;
        let begun = Program::from(&world, "203.0.113.9", calls_itself).await;
        let program = Program { from: "192.0.2.1".parse().unwrap(), ..begun };
        program.mailed("jane@example.org").await;
        world.code(1).await;
        let letter = world.mailbox.lock().unwrap()[0].replace("\r\n", "\n");
        // Both addresses: where the device code was begun, and where the letter was asked for.
        let wanted = format!("address 192.0.2.1:\nfor a program in a terminal, {shown}\nat 203.0.113.9.");
        assert!(letter.contains(&wanted), "{letter}");
        assert!(!letter.contains("evil.example") && letter.lines().all(|line| line.len() <= 76), "{letter}");
    }
}
