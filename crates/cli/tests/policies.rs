//! Who must have signed, as it is typed and as files hold it: the whole screen, and what scripts see.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use sealog_crypto::{HashAlgorithm, KeyKind, Signer as _};
use sealog_testkit::{EntryForm, ISSUER, KeyForm, P256, Person, Shape, Signed, Sigstore, Thing};
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

const FILE: &[u8] = b"a release\n";

/// A directory with a release, its trusted root, and whatever was signed.
struct Home {
    dir: TempDir,
    world: Sigstore,
}

impl Home {
    fn new() -> Self {
        let (dir, world) = (tempfile::tempdir().unwrap(), Sigstore::new());
        fs::write(dir.path().join("app.tar"), FILE).unwrap();
        let home = Self { dir, world };
        home.write("root.json", &home.world.root.to_json());
        home
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn sign(&mut self, name: &str) -> Signed {
        self.world.sign(&Person::new(name, P256), Thing::File(FILE))
    }

    /// Puts bundles beside the release, one on each line.
    fn publish(&self, all: &[&Signed]) {
        let lines: Vec<String> = all.iter().map(|signed| signed.bundle.to_json() + "\n").collect();
        self.write("app.tar.sigstore.jsonl", &lines.concat());
    }

    /// Exit status, what was printed, what was said.
    fn run(&self, line: &str) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealog"));
        let arguments = line.split(' ').filter(|word| !word.is_empty());
        let output = command.args(arguments).current_dir(self.dir.path()).env_clear().output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn verify(&self, options: &str) -> (i32, String, String) {
        self.run(&format!("verify app.tar --trusted-root root.json {options}"))
    }
}

fn signer(name: &str) -> String {
    format!("[[signer]]\nidentity = \"{name}\"\nissuer = \"{ISSUER}\"\n")
}

#[test]
fn two_of_three_must_have_signed_and_one_of_them_twice_is_one() {
    let mut home = Home::new();
    let [ann, again, bob] =
        ["ann@example.org", "ann@example.org", "bob@example.org"].map(|name| home.sign(name));
    let names = ["ann@example.org", "bob@example.org", "eve@example.org"].map(signer).concat();
    home.write("policy.toml", &format!("version = 1\nthreshold = 2\n{names}"));
    home.publish(&[&ann, &bob]);
    let (status, printed, said) = home.verify("--policy policy.toml");
    assert_eq!((status, said.as_str()), (0, ""));
    assert!(printed.starts_with("`app.tar` is verified\n  signed by  ann@example.org\n"), "{printed}");
    assert!(printed.contains("\n  signed by  bob@example.org\n"), "{printed}");
    let (status, line, _) = home.verify("--policy policy.toml --json");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((status, &line["verdict"], &line["error"]), (0, &"verified".into(), &serde_json::Value::Null));
    assert_eq!(line["signatures"][1]["identity"], "bob@example.org");
    home.publish(&[&ann, &again]);
    let (status, printed, said) = home.verify("--policy policy.toml");
    assert_eq!((status, printed.as_str()), (1, ""));
    assert!(
        said.starts_with(
            "error: `app.tar` is signed, but only by 1 of the 2 different signers that must have signed\n"
        ),
        "{said}"
    );
    let (status, line, _) = home.verify("--policy policy.toml --json");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (status, &line["verdict"], &line["error"]["class"]),
        (1, &"wrong-signer".into(), &"policy".into())
    );
}

#[test]
fn policies_that_cannot_be_meant_are_a_matter_of_configuration() {
    let home = Home::new();
    for (text, words) in [
        ("version = 2\n", "policy version 2 is not known"),
        ("version = 1\n", "missing field `signer`"),
        ("version = 1\nsigner = []\n", "a list of signers is empty"),
        (
            "version = 1\n[[signer]]\nidentity-pattern = '.*'\nissuer = 'https://i.example'\n",
            "would accept anybody",
        ),
        ("version = 1\n[[signer]]\nidentity = 'a'\nissuer-pattern = '.*'\n", "from any provider"),
        ("version = 1\n[[signer]]\nidentiti = 'a'\n", "unknown field `identiti`"),
        (
            "version = 1\n[[signer]]\nidentity = 'a'\nissuer = 'b'\nextensions = { colour = 'red' }\n",
            "`colour`",
        ),
        (
            "version = 1\nthreshold = 2\n[[signer]]\nidentity = 'a'\nissuer = 'b'\n",
            "2 signers are wanted, and 1",
        ),
        (
            "version = 1\n[[signer]]\nidentity = 'a'\nissuer = 'b'\n[evidence]\nlogs = 0\n",
            "unsafe-without-log",
        ),
    ] {
        home.write("policy.toml", text);
        let (status, printed, said) = home.verify("--policy policy.toml");
        assert_eq!((status, printed.as_str()), (2, ""), "{text}");
        assert!(said.starts_with("error: `policy.toml` is no policy that can be used: "), "{said}");
        assert!(said.contains(words) && said.contains("\nhint: "), "{said}");
    }
    fs::write(home.dir.path().join("policy.toml"), [0xff]).unwrap();
    assert_eq!(home.verify("--policy policy.toml").0, 2);
    assert_eq!(home.verify("--policy not-there.toml").0, 3);
    // A policy says all of it, or none.
    for option in ["--identity a", "--key k", "--min-logs 2", "--extension ref=x", "--insecure-ignore-tlog"] {
        assert_eq!(home.verify(&format!("--policy policy.toml {option}")).0, 2, "{option}");
    }
}

#[test]
fn patterns_for_anybody_are_refused_unless_an_extension_narrows_them() {
    let mut home = Home::new();
    let ann = home.sign("ann@example.org");
    home.publish(&[&ann]);
    let by_issuer = format!("--issuer {ISSUER}");
    for (open, taken) in [
        (".*", "…"),
        (".*@.*", "…@…"),
        ("[a-z]+@.+", "…@…"),
        (".{90,}", "…"),
        (".*@gmail.com", "…@gmail.com"),
        ("ann.*@gmail.com", "ann…@gmail.com"),
        ("https://github.com/.*/x.yml@refs/heads/main", "https://github.com/…/x.yml@refs/heads/main"),
        ("https://github.com/sigstore.*", "https://github.com/sigstore…"),
        (r"https://(www\.)?github\.com/.*/x\.yml@.*", "https://www.github.com/…/x.yml@…"),
        ("https://github.com/(org/)?.*", "https://github.com/…"),
    ] {
        let (status, printed, said) = home.verify(&format!("--identity-regexp {open} {by_issuer}"));
        assert_eq!((status, printed.as_str()), (2, ""), "{said}");
        assert!(said.starts_with(&format!("error: `/{open}/ ({ISSUER})` would accept anybody\n")), "{said}");
        assert!(said.contains("\n  expected  in every alternative a name written out"), "{said}");
        assert!(said.contains(&format!("\n  found     {taken}\nhint: name who may sign")), "{said}");
    }
    for open in [".*", "https://.{30,}", "https://login.microsoftonline.com/.*"] {
        let (status, _, said) = home.verify(&format!("--identity ann@example.org --issuer-regexp {open}"));
        assert!(status == 2 && said.contains("an identity from any provider\n  expected"), "{said}");
    }
    // Unescaped, the dot is the dot.
    assert_eq!(home.verify(&format!("--identity-regexp .*@example.org {by_issuer}")).0, 0);
    // Extensions that narrow nothing.
    for wide in ["source-repository-identifier=[1-9][0-9]*", "repository=https://.{30,}", "workflow=.{90,}"] {
        let (status, _, said) =
            home.verify(&format!("--identity-regexp .* {by_issuer} --extension-regexp {wide}"));
        assert!(status == 2 && said.contains("would accept anybody"), "{said}");
    }
    assert_eq!(home.verify(&format!("--identity-regexp .*@example\\.org {by_issuer}")).0, 0);
    // Narrowed, it may be asked; but this certificate has no such extension.
    let (status, _, said) =
        home.verify(&format!("--identity-regexp .* {by_issuer} --extension repository=https://r"));
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("  expected   https://r  (source-repository-uri)\n  found      none"), "{said}");
    let named = format!("--identity ann@example.org {by_issuer}");
    assert_eq!(home.verify(&format!("{named} --extension issuer={ISSUER}")).0, 0);
    assert_eq!(home.verify(&format!("{named} --extension-regexp issuer-v2=https://.*")).0, 0);
    assert_eq!(home.verify(&format!("{named} --extension issuer=https://other")).0, 1);
    for wrong in ["--extension issuer", "--extension colour=red", "--extension-regexp issuer=("] {
        let (status, _, said) = home.verify(&format!("{named} {wrong}"));
        assert!(status == 2 && said.contains("error: "), "{wrong}: {said}");
    }
}

#[test]
fn more_proof_can_be_asked_for_and_less_in_words_that_say_so() {
    let mut home = Home::new();
    let named = format!("--identity ann@example.org --issuer {ISSUER}");
    let ann = home.sign("ann@example.org");
    home.publish(&[&ann]);
    assert_eq!(home.verify(&format!("{named} --min-logs 1 --min-timestamps 1 --min-scts 1")).0, 0);
    for (option, expected) in [
        ("--min-logs 2", "  expected  2  (transparency logs)\n  found     1  (of different operators)\n"),
        ("--min-timestamps 2", "  expected  2  (timestamp authorities)\n"),
        ("--min-scts 2", "  expected  2  (certificate logs)\n"),
    ] {
        let (status, _, said) = home.verify(&format!("{named} {option}"));
        assert!(status == 1 && said.contains(expected), "{said}");
    }
    for wrong in ["--min-logs 0", "--min-scts 0", "--min-logs 2 --insecure-ignore-tlog"] {
        assert_eq!(home.verify(&format!("{named} {wrong}")).0, 2, "{wrong}");
    }
    let unlogged =
        home.world.sign_as(&Person::new("ann@example.org", P256), Thing::File(FILE), &Shape::without_logs());
    home.publish(&[&unlogged]);
    assert_eq!(home.verify(&named).0, 1);
    let (status, printed, _) = home.verify(&format!("{named} --insecure-ignore-tlog --insecure-ignore-sct"));
    assert!(status == 0 && printed.contains("  log        none  (the policy wants none"), "{printed}");
}

#[test]
fn an_early_bundle_is_refused_with_the_way_out() {
    let mut home = Home::new();
    let shape = Shape {
        version: sealog_bundle::Version::V01,
        key: KeyForm::Chain,
        ..Shape::rekor_v1(EntryForm::HashedRekordV001)
    };
    let signed = home.world.sign_as(&Person::new("ann@example.org", P256), Thing::File(FILE), &shape);
    let promised = signed.changed(|bundle| bundle.material.log_entries[0].inclusion_proof = None);
    home.publish(&[&promised]);
    let (status, _, said) = home.verify(&format!("--identity ann@example.org --issuer {ISSUER}"));
    assert!(status == 1 && said.contains("`--accept-promises`"), "{said}");
    let (status, printed, _) =
        home.verify(&format!("--identity ann@example.org --issuer {ISSUER} --accept-promises"));
    assert!(status == 0 && printed.contains("promised but not proven"), "{printed}");
    home.write(
        "policy.toml",
        &format!("version = 1\n{}[evidence]\naccept-promises = true\n", signer("ann@example.org")),
    );
    let (status, printed, said) = home.verify("--policy policy.toml");
    assert!(status == 0 && printed.contains("promised but not proven"), "{printed}{said}");
}

#[test]
fn built_in_roots_are_asked_for_by_name() {
    let mut home = Home::new();
    let ann = home.sign("ann@example.org");
    home.publish(&[&ann]);
    let named = format!("--identity ann@example.org --issuer {ISSUER}");
    // The bundle is of no instance that is built in.
    for name in ["public-good", "staging", "github"] {
        let (status, _, said) = home.run(&format!("verify app.tar --instance {name} {named}"));
        assert_eq!(status, 1, "{said}");
    }
    let (status, _, said) = home.run(&format!("verify app.tar --instance sigstore {named}"));
    assert_eq!(
        (status, said.as_str()),
        (
            2,
            "error: no instance is called `sigstore`\n  expected  public-good, staging, github\nhint: give the \
             trusted root of any other instance with --trusted-root FILE\n"
        )
    );
    assert_eq!(home.run(&format!("verify app.tar --instance staging --trusted-root root.json {named}")).0, 2);
    let Some(data) = std::env::var_os("SEALOG_CONFORMANCE_DIR") else { return };
    let cases = Path::new(&data).join("bundle-verify");
    let bundle = cases.join("happy-path-v0.3/bundle.sigstore.json");
    let (status, printed, said) = home.run(&format!(
        "verify {} --bundle {} --instance public-good --issuer https://token.actions.githubusercontent.com \
         --identity-regexp https://github.com/sigstore-conformance/.*",
        cases.join("a.txt").display(),
        bundle.display()
    ));
    assert!(status == 0 && printed.contains("rekor.sigstore.dev"), "{printed}{said}");
}

/// Some keys sign a file itself and not its digest; no log takes such a signature over a file.
#[test]
fn keys_that_sign_the_file_itself_are_shown_the_file() {
    let mut home = Home::new();
    let all = "--key key.pem --insecure-ignore-tlog";
    for kind in [KeyKind::Ed25519, KeyKind::MlDsa44, KeyKind::MlDsa65, KeyKind::MlDsa87] {
        let who = Person::new("release key", kind);
        let shape = Shape { entries: Vec::new(), ..Shape::managed_key() };
        let signed = home.world.sign_as(&who, Thing::File(FILE), &shape);
        home.write("key.pem", &who.key.public_key().to_pem());
        home.publish(&[&signed]);
        let (status, printed, said) = home.verify(all);
        assert_eq!((status, said.as_str()), (0, ""), "{kind}");
        assert!(printed.starts_with("`app.tar` is verified\n"), "{kind}: {printed}");
        // Of a list, too, whose digest it must have.
        let digests = HashAlgorithm::ALL.map(|algorithm| algorithm.digest(FILE));
        let [sha256, _, sha512] =
            digests.map(|digest| digest.to_string().split_once(':').unwrap().1.to_owned());
        for hex in [&sha256, &sha512] {
            home.write("SUMS", &format!("{hex}  app.tar\n"));
            let (status, _, said) =
                home.run(&format!("verify --checksums SUMS --trusted-root root.json {all}"));
            assert_eq!((status, said.as_str()), (0, ""), "{kind}");
        }
        // Its digest does not do, and the message says so.
        let bundle = "--bundle app.tar.sigstore.jsonl --trusted-root root.json";
        let (status, printed, said) = home.run(&format!("verify sha256:{sha256} {bundle} {all}"));
        assert_eq!((status, printed.as_str()), (1, ""), "{kind}");
        assert!(said.contains("\nhint: give the file itself"), "{kind}: {said}");
        // Nor does another file, or what is larger than is held in memory.
        home.write("app.tar", "another release\n");
        assert_eq!(home.verify(all).0, 1, "{kind}");
        let large = fs::File::create(home.dir.path().join("app.tar")).unwrap();
        large.set_len((64 << 20) + 1).unwrap();
        let (status, printed, said) = home.verify(all);
        assert_eq!((status, printed.as_str()), (3, ""), "{kind}");
        assert!(said.starts_with("error: `app.tar` is too large for a signature of this kind\n"), "{said}");
        assert!(
            said.contains("  expected  at most 67108864 bytes\nhint: the key signed the file itself"),
            "{said}"
        );
        home.write("app.tar", std::str::from_utf8(FILE).unwrap());
    }
}
