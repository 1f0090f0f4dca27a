//! gRPC: the certificate authority asked by the client that fulcio's own Go module carries, the log of signatures by that
//! of rekor-tiles.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::report::{Check, Report};
use super::{Outcome, Stage};
use crate::dev::write_secret;
use crate::process;

/// The longest one call may take.
const LIMIT: Duration = Duration::from_secs(300);

/// The row of gRPC.
pub(super) fn run(stage: &Stage<'_>, report: &mut Report) {
    let check = |case: &str| Check::new("go gRPC", "gets a certificate", case.to_owned());
    let person = stage.renew_person().map(|()| stage.person.token_file.clone());
    report.accepts(check("person"), person.and_then(|token| ask(stage, "certify", &token)));
    report.accepts(check("CI job"), ask(stage, "certify", &stage.job.token_file));
    report.accepts(check("token in the metadata"), ask(stage, "metadata", &stage.person.token_file));
    report.accepts(check("hundreds at once"), ask(stage, "many", &stage.person.token_file));
    let refused = ["InvalidArgument: There was an error processing the identity token"];
    for (case, change) in [("token damaged", damaged as fn(&str) -> String), ("no token", |_| String::new())]
    {
        let outcome = changed(stage, change);
        report.refuses(check(case), outcome, &refused);
    }
    let check = |case: &str| Check::new("go gRPC", "asks for health", case.to_owned());
    let names = ["", "dev.sigstore.fulcio.v2.CA"];
    for (case, name) in ["the whole", "the authority"].into_iter().zip(names) {
        report.accepts(check(case), ask(stage, "health", Path::new(name)));
    }
    report.refuses(
        check("no such service"),
        ask(stage, "health", Path::new("no.such.Service")),
        &["NotFound"],
    );
    log(stage, report);
}

/// The log of signatures: what it answers is verified by rekor-tiles' rules, and the whole log by what it serves.
fn log(stage: &Stage<'_>, report: &mut Report) {
    let ask = |mode: &str, argument: &str| -> Outcome {
        let mut command = Command::new(&stage.peers.rekor_grpc);
        command.env("HOME", stage.home()).arg(mode).arg(stage.dev.authority("rekor")?).arg(argument);
        process::run(&mut command, LIMIT)
    };
    let check = |case: &str| Check::new("go gRPC", "logs a signature", case.to_owned());
    let key = stage.dev.dir().join("keys/rekor.pub");
    report.accepts(check("key, certificate, and the same twice"), ask("entries", &key.to_string_lossy()));
    report.accepts(check("a thousand at once"), ask("many", "1000"));
    report.accepts(check("among a thousand"), ask("entries", &key.to_string_lossy()));
    for (case, said) in [
        ("signature", "InvalidArgument: invalid hashedrekord request"),
        ("digest", "InvalidArgument: invalid hashedrekord request"),
        ("algorithm", "InvalidArgument: invalid hashedrekord request"),
        ("nothing", "InvalidArgument: invalid type, must be hashedrekord"),
        ("oversize", "InvalidArgument: request body is larger than 4194304 bytes"),
        ("compressed", "Unimplemented: messages are not taken compressed"),
        ("damaged", "InvalidArgument: invalid request"),
        ("text", "InvalidArgument: invalid request"),
        ("method", "Unimplemented: no such method"),
        ("service", "Unimplemented: no such method"),
        ("tile", "NotFound: Not Found"),
        ("bundle", "NotFound: Not Found"),
        ("type", "HTTP/2.0 415 Unsupported Media Type"),
    ] {
        report.refuses(check(&format!("refused: {case}")), ask("refuse", case), &[said]);
    }
    let check = |case: &str| Check::new("go gRPC", "asks for health", case.to_owned());
    let health = |name: &str| -> Outcome {
        let mut command = Command::new(&stage.peers.fulcio_grpc);
        command.env("HOME", stage.home()).arg("health").arg(stage.dev.authority("rekor")?).arg(name);
        process::run(&mut command, LIMIT)
    };
    report.accepts(check("the log"), health("dev.sigstore.rekor.v2.Rekor"));
    report.refuses(check("the authority, of the log"), health("dev.sigstore.fulcio.v2.CA"), &["NotFound"]);
}

fn ask(stage: &Stage<'_>, mode: &str, argument: &Path) -> Outcome {
    let mut command = Command::new(&stage.peers.fulcio_grpc);
    command.env("HOME", stage.home()).arg(mode).arg(stage.dev.authority("ca")?).arg(argument);
    process::run(&mut command, LIMIT)
}

/// Asks with the person's token, changed.
fn changed(stage: &Stage<'_>, change: fn(&str) -> String) -> Outcome {
    let token = std::fs::read_to_string(&stage.person.token_file)?;
    let file = stage.scratch.file("changed.token");
    write_secret(&file, &change(token.trim()))?;
    ask(stage, "certify", &file)
}

/// The same claims under a signature of which one character is another.
fn damaged(token: &str) -> String {
    let Some((signed, signature)) = token.rsplit_once('.') else { return String::new() };
    let first = if signature.starts_with('A') { "B" } else { "A" };
    format!("{signed}.{first}{}", signature.get(1..).unwrap_or_default())
}
