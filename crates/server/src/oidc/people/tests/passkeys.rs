//! Passkeys in place of the mail: whole ways through the pages.

use super::*;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use passkey::tests::Authenticator;

/// To the page that offers a passkey, and its answer once the device has made one.
async fn offered<'a>(
    browser: &Browser<'_>,
    letters: usize,
    ticked: &[(&'a str, &'a str)],
    id: &'static [u8],
) -> (Authenticator, Page, [String; 2]) {
    let page = browser.mailed("jane@example.org").await;
    let code = browser.world.code(letters).await;
    let typed = [&[("code", code.as_str()), ("answer", "allow"), ("passkey", "offer")], ticked].concat();
    let page = browser.press(&page, &typed).await;
    let (device, made) = made(browser, &page, id);
    (device, page, made)
}

/// What a device makes on such a page.
fn made(browser: &Browser<'_>, page: &Page, id: &'static [u8]) -> (Authenticator, [String; 2]) {
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    let challenge = page.body.split("data-challenge=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut device = Authenticator::new(id);
    device.page = (browser.world.url.clone(), "localhost".to_owned());
    let made = device.make(challenge);
    (device, made)
}

async fn kept(browser: &Browser<'_>, page: &Page, made: &[String; 2]) {
    let typed = [("answer", "keep"), ("client_data", &made[0]), ("data", &made[1])];
    browser.press(page, &typed).await.sent_back();
}

async fn signs_in(browser: &Browser<'_>, device: &mut Authenticator, id: &[u8]) -> bool {
    let page = browser.open(&auth_path("")).await;
    let token = page.fields().into_iter().find(|(name, _)| name == "form_token").unwrap().1;
    let form =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("form_token", &token).finish();
    let request = http::Request::post("/passkey")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ORIGIN, &browser.world.url);
    let asked = browser.send(request.body(Body::from(form)).unwrap()).await;
    let asked: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    let [client_data, data, signature] = device.use_it(asked["challenge"].as_str().unwrap());
    let typed = [
        ("answer", "passkey"),
        ("session", asked["session"].as_str().unwrap()),
        ("passkey", &URL_SAFE_NO_PAD.encode(id)),
        ("client_data", &client_data),
        ("data", &data),
        ("signature", &signature),
    ];
    browser.press(&page, &typed).await.status == StatusCode::OK
}

#[tokio::test]
async fn what_was_begun_before_a_forgetting_makes_no_passkey_after_it() {
    let world = World::with_mail().await;
    let (eve, jane) = (Browser::from(&world, "198.51.100.7"), Browser::new(&world));
    // Eve reads the mailbox for a moment, and keeps one answer back, and one code.
    let (mut first, first_page, first_made) = offered(&eve, 1, &[], b"first").await;
    let second_page = eve.mailed("jane@example.org").await;
    let code = world.code(2).await;
    world.wait(1000);
    let (mut janes, page, janes_made) = offered(&jane, 3, &[("forget", "passkeys")], b"janes").await;
    world.wait(1000);
    kept(&eve, &first_page, &first_made).await;
    let typed = [("code", code.as_str()), ("answer", "allow"), ("passkey", "offer"), ("forget", "passkeys")];
    let second_page = eve.press(&second_page, &typed).await;
    assert!(!second_page.body.contains("are forgotten"), "an old code forgets nothing");
    let (mut second, second_made) = made(&eve, &second_page, b"second");
    kept(&eve, &second_page, &second_made).await;
    assert!(!signs_in(&eve, &mut first, b"first").await);
    assert!(!signs_in(&eve, &mut second, b"second").await);
    // Hers is made by the proof with which she had the others forgotten.
    kept(&jane, &page, &janes_made).await;
    assert!(signs_in(&jane, &mut janes, b"janes").await);
    // So is one by a later proof.
    let (mut later, page, later_made) = offered(&jane, 4, &[], b"later").await;
    kept(&jane, &page, &later_made).await;
    assert!(signs_in(&jane, &mut later, b"later").await);
}

#[tokio::test]
async fn what_was_ticked_outlives_a_mistyped_code() {
    let world = World::with_mail().await;
    let (jane, eve) = (Browser::new(&world), Browser::from(&world, "198.51.100.7"));
    let (mut eves, page, eves_made) = offered(&eve, 1, &[], b"eves").await;
    kept(&eve, &page, &eves_made).await;
    assert!(signs_in(&eve, &mut eves, b"eves").await);
    world.wait(1000);
    let page = jane.mailed("jane@example.org").await;
    let code = world.code(2).await;
    let wrong = if code.starts_with('0') { "1111 1111" } else { "0000 0000" };
    for ticked in [&[("passkey", "offer"), ("forget", "passkeys")][..], &[("forget", "passkeys")], &[]] {
        let page = jane.press(&page, &[&[("code", wrong), ("answer", "allow")], ticked].concat()).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        let fields = page.fields();
        for (name, value) in [("passkey", "offer"), ("forget", "passkeys")] {
            let is_ticked = fields.contains(&(name.to_owned(), value.to_owned()));
            assert_eq!(is_ticked, ticked.contains(&(name, value)), "{name}: {}", page.body);
        }
    }
    let ticked = [("code", wrong), ("answer", "allow"), ("passkey", "offer"), ("forget", "passkeys")];
    let again = jane.press(&page, &ticked).await;
    let offer = jane.typed(&again, &code).await;
    assert!(offer.body.contains("made for it before are forgotten"), "{}", offer.body);
    assert!(!signs_in(&eve, &mut eves, b"eves").await);
}

#[tokio::test]
async fn a_passkey_ends_with_its_domain() {
    for (domains, signs_in) in [("'example.org'", true), ("'example.net'", false)] {
        let world = World::new(&format!("domains = [{domains}]\n{MAIL}")).await;
        // Made when the configuration was another.
        let passkeys = Passkeys {
            store: Store::open(world._dir.path()).unwrap(),
            days: 30,
            origin: world.url.clone(),
            host: "localhost".to_owned(),
        };
        let mut device = Authenticator::new(b"hers");
        device.page = (world.url.clone(), "localhost".to_owned());
        let address = "jane@example.org".to_owned();
        let person = Person { user_id: address.clone(), address, connector_id: world.url.clone() };
        let purpose = Purpose::Device { user_code: "BCDFGHJK".to_owned() };
        let proven = Proven { person, purpose, asked_ms: NOW_MS };
        let [client_data, data] = device.make("x");
        let made =
            passkey::Answer { session: "", id: "", client_data: &client_data, data: &data, signature: "" };
        passkeys.keep(&proven, "x", &made, NOW_MS).await.unwrap();

        let browser = Browser::new(&world);
        let page = browser.open(&auth_path("")).await;
        let cookie = browser.cookie.lock().unwrap().clone().unwrap();
        let session = cookie.split_once('=').unwrap().1;
        let asked = passkeys.ask(None, session, NOW_MS).await.unwrap();
        let [client_data, data, signature] = device.use_it(&asked.challenge);
        let typed = [
            ("answer", "passkey"),
            ("session", &asked.session),
            ("passkey", &URL_SAFE_NO_PAD.encode(b"hers")),
            ("client_data", &client_data),
            ("data", &data),
            ("signature", &signature),
        ];
        let page = browser.press(&page, &typed).await;
        let status = if signs_in { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(page.status, status, "{}", page.body);
        assert_eq!(page.body.contains("Do you agree?"), signs_in);
    }
}
