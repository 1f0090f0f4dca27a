//! Signing in at a provider behind this one, which is another of ours.

use super::*;

/// Two providers: one that believes anyone, and one that sends people there.
async fn behind() -> (World, World) {
    let upstream = World::new("").await;
    let settings = format!(
        "[[upstreams]]\nname = 'corp'\nlabel = 'Corp <sign-in>'\nissuer = '{}'\nclient_id = 'sigstore'\n",
        upstream.url
    );
    let world = World::new(&settings).await;
    (upstream, world)
}

/// Signs in at the other provider; the address that leads back.
async fn there(upstream: &World, url: &str, address: &str) -> String {
    let browser = Browser::new(upstream);
    let page = browser.open(url).await;
    let back = browser.press(&page, &[("email", address), ("answer", "allow")]).await;
    assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.body);
    back.location
}

#[tokio::test]
async fn a_person_comes_from_another_provider_and_agrees() {
    let (upstream, world) = behind().await;
    let browser = Browser::new(&world);
    let page = browser.open(&auth_path("")).await;
    assert!(page.body.contains("Continue with Corp &lt;sign-in&gt;"), "{}", page.body);
    assert!(!page.body.contains("type=\"email\""), "no other way is configured: {}", page.body);
    let page = browser.press(&page, &[("answer", "upstream-corp")]).await;
    let url = page.leads_to();
    assert!(url.starts_with(&upstream.url), "{url}");
    let back = there(&upstream, &url, "Jane@Corp.example").await;
    let page = browser.open(&back).await;
    for text in ["Jane@corp.example", "Corp &lt;sign-in&gt;", "for ever", "Refuse"] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    assert!(page.policy.contains("http://localhost:4711"), "{}", page.policy);
    let sent = browser.press(&page, &[("answer", "allow")]).await.sent_back();
    let claims = browser.claims(&sent["code"]).await;
    assert_eq!(claims["email"], "Jane@corp.example");
    assert_eq!(
        claims["federated_claims"],
        serde_json::json!({"connector_id": upstream.url, "user_id": "Jane@corp.example"})
    );
    let again = browser.press(&page, &[("answer", "allow")]).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST, "agreed once");
    assert_eq!(browser.open(&back).await.status, StatusCode::BAD_REQUEST, "came back once");
}

#[tokio::test]
async fn a_program_may_name_the_provider() {
    let (upstream, world) = behind().await;
    let browser = Browser::new(&world);
    let more: String = url::form_urlencoded::byte_serialize(upstream.url.as_bytes()).collect();
    let page = browser.open(&auth_path(&format!("&connector_id={more}"))).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
    assert!(browser.cookie.lock().unwrap().is_some());
    let back = there(&upstream, &page.location, "jane@corp.example").await;
    let page = browser.open(&back).await;
    assert!(
        page.body.contains("a program on this computer") && page.body.contains("started it yourself"),
        "nothing of it was said before: {}",
        page.body
    );
    let refused = browser.press(&page, &[("answer", "refuse")]).await.sent_back();
    assert_eq!(refused["error"], "access_denied");
    let page = browser.open(&auth_path("&connector_id=https%3A%2F%2Fother.example")).await;
    assert!(
        page.status == StatusCode::OK && page.body.contains("Continue with"),
        "an unknown one is no order"
    );
}

#[tokio::test]
async fn who_signs_in_elsewhere_signs_in_for_themselves() {
    let (upstream, world) = behind().await;
    let (jane, eve) = (Browser::new(&world), Browser::from(&world, "192.0.2.66"));
    let begin = async |browser: &Browser<'_>| {
        let page = browser.open(&auth_path("")).await;
        browser.press(&page, &[("answer", "upstream-corp")]).await.leads_to()
    };
    // Login CSRF: Eve signs in as herself and has Jane's browser open the answer.
    let back = there(&upstream, &begin(&eve).await, "eve@corp.example").await;
    jane.open(&auth_path("")).await;
    let page = jane.open(&back).await;
    assert!(page.status == StatusCode::BAD_REQUEST && page.body.contains("another browser"), "{}", page.body);
    assert_eq!(eve.open(&back).await.status, StatusCode::BAD_REQUEST, "and it is used up");
    // Eve gets hold of the answer on its way to Jane.
    let back = there(&upstream, &begin(&jane).await, "jane@corp.example").await;
    assert_eq!(eve.open(&back).await.status, StatusCode::BAD_REQUEST);
    // Or of the page that asks whether Jane agrees.
    let back = there(&upstream, &begin(&jane).await, "jane@corp.example").await;
    let page = jane.open(&back).await;
    let token = eve.cookie.lock().unwrap().clone().unwrap().split_once('=').unwrap().1.to_owned();
    let stolen = eve.press(&page, &[("form_token", &token), ("answer", "allow")]).await;
    assert_eq!((stolen.status, stolen.location.as_str()), (StatusCode::BAD_REQUEST, ""));
    // What the other provider said of somebody else's sign-in.
    let url = begin(&jane).await;
    let other = there(&upstream, &begin(&jane).await, "eve@corp.example").await;
    let parameter = |url: &str, name: &str| {
        let url = url::Url::parse(url).unwrap();
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap()
    };
    let mixed = format!("/callback?code={}&state={}", parameter(&other, "code"), parameter(&url, "state"));
    let page = jane.open(&mixed).await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY, "another verifier: {}", page.body);
    for nothing in ["/callback", "/callback?state=x&code=y", "/callback?code=y", "/callback?state=x&state=y"]
    {
        assert_eq!(jane.open(nothing).await.status, StatusCode::BAD_REQUEST, "{nothing}");
    }
}

#[tokio::test]
async fn a_device_names_the_provider_behind_this_one() {
    let upstream = World::new("").await;
    let corp = |name: &str, more: &str| {
        format!(
            "[[upstreams]]\nname = '{name}'\nissuer = '{}'\nclient_id = 'sigstore'\n{more}\n",
            upstream.url
        )
    };
    let world =
        World::new(&format!("{MAIL}{}{}", corp("one", ""), corp("two", "connector_id = 'urn:two'"))).await;
    let shown = async |more: &str| {
        let asked = http::Request::post("/device/code")
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let proof = "code_challenge_method=S256&code_challenge=";
        let form = format!("client_id=sigstore&scope=openid+email{more}&{proof}{CHALLENGE}");
        let answer = Browser::new(&world).send(asked.body(Body::from(form)).unwrap()).await;
        let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let browser = Browser::new(&world);
        let page = browser.open("/device").await;
        let page = browser.press(&page, &[("user_code", answer["user_code"].as_str().unwrap())]).await;
        assert!(page.body.contains("Go on only if you started it yourself."), "{}", page.body);
        ["type=\"email\"", "upstream-one", "upstream-two"].map(|way| page.body.contains(way))
    };
    assert_eq!(shown("").await, [true, true, true]);
    assert_eq!(shown("&connector_id=urn:two").await, [false, false, true]);
    assert_eq!(shown("&connector_id=urn:three").await, [true, true, true], "unknown: the person chooses");
}

#[tokio::test]
async fn who_carries_a_code_is_told_that_it_may_be_for_anybody() {
    let world = World::new(&format!("{MAIL}passkey_days = 0")).await;
    let browser = Browser::new(&world);
    let carried = auth_path("").replace(
        url::form_urlencoded::byte_serialize(CALLBACK.as_bytes()).collect::<String>().as_str(),
        "urn:ietf:wg:oauth:2.0:oob",
    );
    let page = browser.open(&carried).await;
    assert!(page.body.contains("Go on only if you started it yourself."), "{}", page.body);
    assert!(!page.body.contains("on this computer"), "it may be anywhere: {}", page.body);
    let page = browser.press(&page, &[("email", "jane@example.org"), ("answer", "mail")]).await;
    let code = world.code(1).await;
    let letter = world.mailbox.lock().unwrap()[0].clone();
    assert!(
        letter.contains("for whoever is given the code") && !letter.contains("for a program"),
        "{letter}"
    );
    let page = browser.typed(&page, &code).await;
    assert!(page.body.contains("Give it to nobody else"), "{}", page.body);
}

#[tokio::test]
async fn one_network_does_not_take_the_place_of_all() {
    let (upstream, world) = behind().await;
    let more: String = url::form_urlencoded::byte_serialize(upstream.url.as_bytes()).collect();
    let path = auth_path(&format!("&connector_id={more}"));
    let busy = Browser::from(&world, "203.0.113.3");
    for _ in 0..600 {
        assert_eq!(busy.open(&path).await.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(busy.open(&path).await.status, StatusCode::TOO_MANY_REQUESTS);
    let page = busy.open(&auth_path("")).await;
    assert_eq!(
        busy.press(&page, &[("answer", "upstream-corp")]).await.status,
        StatusCode::TOO_MANY_REQUESTS,
        "nor by the button"
    );
    assert_eq!(Browser::new(&world).open(&path).await.status, StatusCode::SEE_OTHER, "another network");

    let world = World::with_mail().await;
    let (busy, other) = (Browser::from(&world, "203.0.113.3"), Browser::new(&world));
    let ask = async |browser: &Browser<'_>| {
        let page = browser.open(&auth_path("")).await;
        let page = Page { body: page.body.replace("action=\"/auth/answer\"", "action=\"/passkey\""), ..page };
        browser.press(&page, &[]).await.status
    };
    for _ in 0..600 {
        assert_eq!(ask(&busy).await, StatusCode::OK);
    }
    assert_eq!(ask(&busy).await, StatusCode::TOO_MANY_REQUESTS, "questions to passkeys are kept, too");
    assert_eq!(ask(&other).await, StatusCode::OK);
}

#[tokio::test]
async fn a_provider_gets_no_code_that_another_made() {
    let (corp, evil) = (World::new("").await, World::new("").await);
    let upstream = |name: &str, url: &str| {
        format!("[[upstreams]]\nname = '{name}'\nissuer = '{url}'\nclient_id = 'sigstore'\n")
    };
    let world = World::new(&(upstream("corp", &corp.url) + &upstream("evil", &evil.url))).await;
    let begin = async |browser: &Browser<'_>, answer: &str| {
        let page = browser.open(&auth_path("")).await;
        url::Url::parse(&browser.press(&page, &[("answer", answer)]).await.leads_to()).unwrap()
    };
    let (jane, eve) = (Browser::new(&world), Browser::from(&world, "192.0.2.66"));
    // Jane chooses the one, which sends her on to the other with what Eve's own sign-in there would say.
    let hers = begin(&eve, "upstream-corp").await;
    let state = begin(&jane, "upstream-evil").await;
    let state = state.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let mut mixed = hers.clone();
    let pairs: Vec<_> = hers.query_pairs().into_owned().collect();
    mixed
        .query_pairs_mut()
        .clear()
        .extend_pairs(pairs.iter().map(|(name, value)| (name, if name == "state" { &state } else { value })));
    let back = there(&corp, mixed.as_str(), "jane@corp.example").await;
    let page = jane.open(&back).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "the code went to the other one: {}", page.body);
    // Each by itself works.
    let back = there(&corp, begin(&jane, "upstream-corp").await.as_str(), "jane@corp.example").await;
    assert!(back.starts_with(&format!("{}/callback/corp?", world.url)), "{back}");
    assert!(jane.open(&back).await.body.contains("jane@corp.example"));
}
