//! People who sign in at a certified provider behind ours, and come back with what it says of them.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::instance::{Instance, node};
use crate::House;
use crate::dev::write_secret;
use crate::peers::Peers;
use crate::process::{Scratch, free_port};

/// With what the provider tells in UserInfo, as it usually does, and with everything in the identity token.
pub(super) fn run(house: &House, peers: &Peers) -> Result<usize> {
    let mut held = 0;
    for (manner, name) in [("usual", "upstream"), ("rich", "upstream-rich")] {
        held += signed(house, peers, manner, name).with_context(|| format!("a provider that is {manner}"))?;
    }
    Ok(held)
}

/// Signs through the provider, chosen on the page and named by the program; an unverified address and none are refused.
fn signed(house: &House, peers: &Peers, manner: &str, name: &'static str) -> Result<usize> {
    let scratch = Scratch::new(&format!("sign-in-{name}"))?;
    let (port, theirs) = (free_port()?, free_port()?);
    let callback = format!("http://localhost:{port}/callback");
    let arguments = [theirs.to_string(), callback, manner.to_owned()];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (mut provider, _) = node(house, peers, "provider.cjs", &arguments, &scratch.file("provider.log"))?;
    write_secret(&scratch.file("client.secret"), "a secret of two: with & signs %\n")?;
    let issuer = format!("http://localhost:{theirs}");
    let table = format!(
        "\n[[oidc.upstreams]]\nname = \"corp\"\nlabel = \"the company\"\nissuer = \"{issuer}\"\n\
         client_id = \"sealog\"\nclient_secret_file = \"client.secret\"\n"
    );
    let instance = Instance::start(house, peers, name, scratch, port, &table)?;
    let there = |who: &str| -> Vec<Value> {
        vec![
            json!({"wait": "/interaction"}),
            json!({"fill": "input[name=login]", "with": who}),
            json!({"fill": "input[name=password]", "with": "anything"}),
            json!({"press": "button[type=submit]"}),
            json!({"press": "button[type=submit]"}),
        ]
    };
    let choose = json!({"press": "button[value=upstream-corp]"});

    let waiting = instance.sign("chosen", &[])?;
    let mut steps = vec![choose.clone()];
    steps.extend(there("lin@corp.example"));
    steps.extend([
        json!({"expect": "lin@corp.example"}),
        json!({"expect": "the company"}),
        json!({"press": "button[value=allow]"}),
        json!({"expect": "You are signed in"}),
    ]);
    let pages = instance.walk("chosen", &waiting.address()?, &json!(steps))?;
    ensure!(pages.contains("public, for ever"), "nobody said what becomes public:\n{pages}");
    let bundle = waiting.signed()?;
    instance.verify(&bundle, "lin@corp.example", &issuer)?;
    ensure!(
        instance.verify(&bundle, "lin@corp.example", &instance.oidc).is_err(),
        "the certificate names ours, too"
    );

    let waiting = instance.sign("named", &["--connector-id", &issuer])?;
    let mut steps = there("lin@corp.example");
    steps.push(json!({"press": "button[value=allow]"}));
    instance.walk("named", &waiting.address()?, &json!(steps))?;
    instance.verify(&waiting.signed()?, "lin@corp.example", &issuer)?;

    for (who, words) in [
        ("unverified@corp.example", "has not verified your email address"),
        ("nobody", "gave no email address"),
    ] {
        let waiting = instance.sign(who, &[])?;
        let mut steps = vec![choose.clone()];
        steps.extend(there(who));
        steps.push(json!({"expect": words}));
        instance.walk(who, &waiting.address()?, &json!(steps))?;
    }
    instance.stop()?;
    provider.stop()?;
    Ok(5)
}
