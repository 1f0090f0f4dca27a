//! A company's Keycloak: as the provider itself, with one table of issuers, and behind ours.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::instance::Instance;
use crate::House;
use crate::dev::write_secret;
use crate::peers::{self, Peers};
use crate::process::{self, Scratch, Service, free_port};

const VERSION: &str = "26.0.7";
const MAVEN_COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy";
const SECRET: &str = "a secret of Keycloak and ours";
const LIMIT: Duration = Duration::from_secs(300);
/// The longest Keycloak may take to build itself and listen: some twenty seconds on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(400);

/// Signs directly and behind ours, by browser and by device.
pub(super) fn run(house: &House, peers: &Peers) -> Result<usize> {
    let home = install(house, peers)?;
    let scratch = Scratch::new("sign-in-keycloak")?;
    let (port, ours) = (free_port()?, free_port()?);
    let realm = realm(&format!("http://localhost:{ours}/callback")).to_string();
    let mut keycloak = start(&home, &scratch, port, &realm)?;
    let issuer = format!("http://localhost:{port}/realms/corp");
    let there = |who: &str| -> Vec<Value> {
        vec![
            json!({"fill": "#username", "with": who}),
            json!({"fill": "#password", "with": "a password"}),
            json!({"press": "#kc-login"}),
        ]
    };

    let direct = Scratch::new("sign-in-keycloak-direct")?;
    let table = format!("\n[[ca.issuers]]\nissuer = \"{issuer}\"\ntype = \"email\"\n");
    let instance = Instance::start_with(house, peers, "keycloak", direct, issuer.clone(), &table)?;
    let waiting = instance.sign("direct", &[])?;
    let mut steps = there("lin");
    steps.push(json!({"expect": "You are signed in"}));
    instance.walk("direct", &waiting.address()?, &json!(steps))?;
    instance.verify(&waiting.signed()?, "lin@corp.example", &issuer)?;

    let waiting = instance.sign("direct-device", &["--device"])?;
    let (page, code) = waiting.device()?;
    let mut steps =
        vec![json!({"fill": "#device-user-code", "with": code}), json!({"press": "input[type=submit]"})];
    steps.extend(there("lin"));
    steps.push(json!({"press": "#kc-login"}));
    instance.walk("direct-device", &page, &json!(steps))?;
    instance.verify(&waiting.signed()?, "lin@corp.example", &issuer)?;
    instance.stop()?;

    write_secret(&scratch.file("client.secret"), SECRET)?;
    let table = format!(
        "\n[[oidc.upstreams]]\nname = \"corp\"\ntype = \"keycloak\"\nissuer = \"{issuer}\"\nclient_id = \"sealog\"\n\
         client_secret_file = \"client.secret\"\n"
    );
    let instance = Instance::start(house, peers, "keycloak", scratch, ours, &table)?;
    let waiting = instance.sign("behind", &[])?;
    let mut steps = vec![json!({"press": "button[value=upstream-corp]"}), json!({"wait": "/realms"})];
    steps.extend(there("lin"));
    steps.extend([json!({"expect": "lin@corp.example"}), json!({"press": "button[value=allow]"})]);
    instance.walk("behind", &waiting.address()?, &json!(steps))?;
    instance.verify(&waiting.signed()?, "lin@corp.example", &issuer)?;

    let waiting = instance.sign("unverified", &[])?;
    let mut steps = vec![json!({"press": "button[value=upstream-corp]"}), json!({"wait": "/realms"})];
    steps.extend(there("moe"));
    steps.push(json!({"expect": "has not verified your email address"}));
    instance.walk("unverified", &waiting.address()?, &json!(steps))?;
    instance.stop()?;
    keycloak.stop()?;
    Ok(4)
}

/// A company: two people, one of whom never confirmed the address; a client for programs, and one for our provider.
fn realm(callback: &str) -> Value {
    let person = |name: &str, verified: bool| {
        json!({
            "username": name, "enabled": true, "firstName": name, "lastName": "Example",
            "email": format!("{name}@corp.example"), "emailVerified": verified,
            "credentials": [{"type": "password", "value": "a password"}],
        })
    };
    json!({
        "realm": "corp", "enabled": true, "sslRequired": "none",
        "clients": [
            {
                "clientId": "sigstore", "publicClient": true, "standardFlowEnabled": true,
                "redirectUris": ["http://localhost/auth/callback", "http://localhost:*"],
                "attributes": {
                    "pkce.code.challenge.method": "S256",
                    "oauth2.device.authorization.grant.enabled": "true",
                },
            },
            {
                "clientId": "sealog", "secret": SECRET, "publicClient": false, "standardFlowEnabled": true,
                "redirectUris": [callback], "attributes": {"pkce.code.challenge.method": "S256"},
            },
        ],
        "users": [person("lin", true), person("moe", false)],
    })
}

/// The distribution, from Maven Central.
fn install(house: &House, peers: &Peers) -> Result<PathBuf> {
    let folder = house.path("target/peers/keycloak");
    let home = folder.join(format!("keycloak-{VERSION}"));
    if home.join("bin/kc.sh").exists() {
        return Ok(home);
    }
    peers::of_the_machine(&["java"], "openjdk-17-jre-headless")?;
    let mvn = peers::of_the_machine(&["mvn"], "maven")?;
    std::fs::create_dir_all(&folder)?;
    println!("  installing Keycloak {VERSION}");
    let mut copy = Command::new(mvn);
    copy.args(["-q", "-B", MAVEN_COPY]);
    copy.arg(format!("-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"));
    copy.arg(format!("-DoutputDirectory={}", folder.display()));
    process::run(&mut copy, LIMIT)?.expect_success("fetching Keycloak by Maven")?;
    let archive = folder.join(format!("keycloak-quarkus-dist-{VERSION}.zip"));
    let mut unpack = Command::new(&peers.python);
    unpack.args(["-m", "zipfile", "-e"]).arg(&archive).arg(&folder);
    process::run(&mut unpack, LIMIT)?.expect_success("unpacking Keycloak")?;
    std::fs::remove_file(archive)?;
    ensure!(home.join("bin/kc.sh").exists(), "the archive holds no {}", home.display());
    Ok(home)
}

/// A server of its own, with its files in the run's folder.
fn start(home: &Path, scratch: &Scratch, port: u16, realm: &str) -> Result<Service> {
    // It builds itself anew in its own folder, so that must be one that nobody else uses.
    let own = scratch.file("keycloak");
    let mut copy = Command::new("cp");
    process::run(copy.arg("-r").arg(home).arg(&own), LIMIT)?.expect_success("copying Keycloak")?;
    let import = own.join("data/import");
    std::fs::create_dir_all(&import)?;
    std::fs::write(import.join("corp-realm.json"), realm)?;
    let log = scratch.file("keycloak.log");
    let file = std::fs::File::create(&log)?;
    let child = Command::new("sh")
        .arg("-c")
        // One process to stop, and no shell beside it.
        .arg("exec bash bin/kc.sh start-dev --import-realm --http-host=127.0.0.1 --http-port=$0")
        .arg(port.to_string())
        .env("JAVA_OPTS_KC_HEAP", "-Xms128m -Xmx512m")
        .current_dir(&own)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .context("cannot start Keycloak")?;
    let mut service = Service::adopt("Keycloak", child, &log);
    service.wait_for_port(port, START_LIMIT)?;
    Ok(service)
}
