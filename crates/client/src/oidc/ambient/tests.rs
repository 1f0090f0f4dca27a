//! Each system as its jobs see it: variables, files, and a service that answers as the system's does.

use super::*;
use crate::oidc::token::tests::unsigned;
use axum::{Router, body::Bytes, http::HeaderMap, http::Uri, routing::any};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

fn token_text() -> String {
    unsigned(&serde_json::json!({"iss": "https://i.example", "sub": "job", "aud": "sigstore", "exp": 1}))
}

/// A machine with these variables and these files.
fn here(variables: &[(&str, &str)], files: &[(&str, &str)]) -> (Surroundings, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let variables: HashMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let surroundings = Surroundings {
        variable: Box::new(move |name| variables.get(name).cloned()),
        root: folder.path().to_owned(),
        google_iam: "http://127.0.0.1:1".to_owned(),
    };
    (surroundings, folder)
}

/// Everything that was asked of a service that answers every path with its own words.
type Asked = Arc<Mutex<Vec<String>>>;

async fn service(answer: impl Fn(&str) -> String + Clone + Send + Sync + 'static) -> (String, Asked) {
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let handler = move |uri: Uri, headers: HeaderMap, body: Bytes| {
        let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("-").to_owned();
        let body = String::from_utf8_lossy(&body).into_owned();
        let line = format!("{uri} {} {} {body}", header("authorization"), header("metadata-flavor"));
        seen.lock().unwrap().push(line);
        let answer = answer(uri.path());
        async move { answer }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(handler))).await.unwrap() });
    (host, asked)
}

async fn token(here: &Surroundings) -> Result<IdentityToken, AmbientError> {
    let system = Ambient::detect(here).unwrap();
    system.token(here, &Client::new(), "sigstore").await
}

#[test]
fn a_build_system_comes_before_the_machine_it_runs_on() {
    let cluster = [(FILE, "t"), (GOOGLE_MACHINE, "Google Compute Engine\n")];
    for (variables, found) in [
        (&[("GITHUB_ACTIONS", "true"), ("SIGSTORE_ID_TOKEN", "t")][..], Ambient::Variable),
        (&[("GITHUB_ACTIONS", "true")], Ambient::GithubActions),
        (&[("GITLAB_CI", "true")], Ambient::Gitlab),
        (&[("BUILDKITE", "true")], Ambient::Buildkite),
        (&[("CIRCLECI", "true")], Ambient::Circleci),
        (&[("GOOGLE_SERVICE_ACCOUNT_NAME", "a@b")], Ambient::File),
        (&[("SPIFFE_ENDPOINT_SOCKET", "unix:///s")], Ambient::File),
        (&[("GITHUB_ACTIONS", "false"), ("GITLAB_CI", "")], Ambient::File),
    ] {
        assert_eq!(Ambient::detect(&here(variables, &cluster).0), Some(found), "{variables:?}");
    }
    let google = &cluster[1..];
    let named = [("GOOGLE_SERVICE_ACCOUNT_NAME", "a@b")];
    assert_eq!(Ambient::detect(&here(&named, google).0), Some(Ambient::GoogleServiceAccount));
    assert_eq!(Ambient::detect(&here(&[], google).0), Some(Ambient::GoogleMachine));
    let agent = [named[0], ("SPIFFE_ENDPOINT_SOCKET", "unix:///s")];
    assert_eq!(Ambient::detect(&here(&agent, google).0), Some(Ambient::Spiffe));
    assert_eq!(Ambient::detect(&here(&[], &[(GOOGLE_MACHINE, "Standard PC")]).0), None);
    assert_eq!(Ambient::detect(&here(&[], &[]).0), None);
}

#[tokio::test]
async fn github() {
    let (host, asked) = service(|_| format!("{{\"count\": 1, \"value\": \"{}\"}}", token_text())).await;
    let url = format!("http://{host}/token?api-version=2.0");
    let both = [
        ("GITHUB_ACTIONS", "true"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret"),
    ];
    assert_eq!(token(&here(&both, &[]).0).await.unwrap().claims().subject, "job");
    assert_eq!(*asked.lock().unwrap(), ["/token?api-version=2.0&audience=sigstore Bearer secret - "]);
    let error = token(&here(&both[..1], &[]).0).await.unwrap_err();
    assert!(error.to_string().contains("ACTIONS_ID_TOKEN_REQUEST_URL is not set"), "{error}");
    assert!(error.hint().unwrap().contains("id-token: write"));
    let plain = [both[0], ("ACTIONS_ID_TOKEN_REQUEST_URL", "http://192.0.2.1/t"), both[2]];
    let error = token(&here(&plain, &[]).0).await.unwrap_err();
    assert!(matches!(error, AmbientError::Url { source: HttpError::Cleartext(_), .. }), "{error}");
}

#[tokio::test]
async fn answers_without_a_token() {
    let (host, _) = service(|path| path.trim_start_matches('/').replace("%22", "\"")).await;
    for answer in ["{}", "nonsense", "{%22value%22:%22%22}", "{%22value%22:7}", "{%22value%22:%22a.b.c%22}"] {
        let url = format!("http://{host}/{answer}");
        let variables = [
            ("GITHUB_ACTIONS", "true"),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret"),
        ];
        let error = token(&here(&variables, &[]).0).await.unwrap_err();
        assert!(
            matches!(error, AmbientError::NoToken { .. } | AmbientError::Token { .. }),
            "{answer}: {error}"
        );
        assert!(!format!("{error:?}").contains("secret"));
    }
}

#[tokio::test]
async fn gitlab_puts_it_into_a_variable() {
    let text = token_text();
    let set = [("GITLAB_CI", "true"), ("SIGSTORE_ID_TOKEN", text.as_str())];
    assert_eq!(token(&here(&set, &[]).0).await.unwrap().claims().subject, "job");
    let error = token(&here(&set[..1], &[]).0).await.unwrap_err();
    assert!(error.hint().unwrap().contains("id_tokens"), "{error}");
}

#[tokio::test]
async fn buildkite() {
    let (host, asked) = service(|_| format!("{{\"token\": \"{}\"}}", token_text())).await;
    let endpoint = format!("http://{host}/v3/");
    let set = [
        ("BUILDKITE", "true"),
        ("BUILDKITE_AGENT_ACCESS_TOKEN", "secret"),
        ("BUILDKITE_JOB_ID", "../0184"),
        ("BUILDKITE_AGENT_ENDPOINT", endpoint.as_str()),
    ];
    assert_eq!(token(&here(&set, &[]).0).await.unwrap().claims().subject, "job");
    let wanted = "/v3/jobs/..%2F0184/oidc/tokens Token secret - {\"audience\":\"sigstore\"}";
    assert_eq!(*asked.lock().unwrap(), [wanted]);
    let error = token(&here(&set[..1], &[]).0).await.unwrap_err();
    assert!(error.to_string().contains("`buildkite-agent`"), "{error}");
}

#[tokio::test]
async fn a_file_of_kubernetes() {
    let text = token_text() + "\n";
    assert_eq!(token(&here(&[], &[(FILE, &text)]).0).await.unwrap().claims().subject, "job");
    let long = "a".repeat(100_000);
    for odd in ["", "x", long.as_str()] {
        assert!(matches!(token(&here(&[], &[(FILE, odd)]).0).await, Err(AmbientError::Token { .. })));
    }
}

#[tokio::test]
async fn google() {
    let answers = |path: &str| match path.rsplit('/').next() {
        Some("identity") => token_text(),
        Some("token") => "{\"access_token\": \"access\", \"expires_in\": 9}".to_owned(),
        _ => format!("{{\"token\": \"{}\"}}", token_text()),
    };
    let (host, asked) = service(answers).await;
    let product = [(GOOGLE_MACHINE, "Google\n")];
    let metadata = ("GCE_METADATA_HOST", host.as_str());
    assert_eq!(token(&here(&[metadata], &product).0).await.unwrap().claims().subject, "job");
    let own = "/computeMetadata/v1/instance/service-accounts/default/identity?audience=sigstore&format=full - Google ";
    assert_eq!(asked.lock().unwrap().drain(..).collect::<Vec<_>>(), [own]);
    let account = ("GOOGLE_SERVICE_ACCOUNT_NAME", "signer@p.iam.gserviceaccount.com");
    let (mut surroundings, _folder) = here(&[metadata, account], &product);
    surroundings.google_iam = format!("http://{host}");
    assert_eq!(token(&surroundings).await.unwrap().claims().subject, "job");
    let asked = asked.lock().unwrap();
    assert!(
        asked[0].starts_with("/computeMetadata/v1/instance/service-accounts/default/token?"),
        "{asked:?}"
    );
    let wanted = "/v1/projects/-/serviceAccounts/signer@p.iam.gserviceaccount.com:generateIdToken Bearer access - \
                  {\"audience\":\"sigstore\",\"includeEmail\":true}";
    assert_eq!(asked[1], wanted);
}
